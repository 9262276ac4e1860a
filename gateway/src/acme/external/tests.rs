use proptest::prelude::*;

use super::*;

#[test]
fn a_key_is_read_with_and_without_padding_and_line_end() {
    for text in ["_-8A", "_-8A\n", " _-8A \r\n"] {
        assert_eq!(parse(text.as_bytes()).as_deref(), Some(&vec![0xff, 0xef, 0x00]), "{text:?}");
    }
    for text in ["AQ", "AQ=="] {
        assert_eq!(parse(text.as_bytes()).as_deref(), Some(&vec![1]), "{text:?}");
    }
    for text in ["", "\n", "a", "+/8A", "AQ AQ", "AQ\nAQ", &"A".repeat(LONGEST + 1)] {
        assert_eq!(parse(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn what_is_wrong_is_named_and_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("eab");
    let account = ExternalAccount { key_id: "kid-1".to_owned(), key_file: key_file.clone() };
    let error = |account: &ExternalAccount| account.check().unwrap_err().to_string();
    assert!(error(&account).contains("eab") && error(&account).contains("--acme-eab-key-file"));
    fs::write(&key_file, "not/the+secret").unwrap();
    let malformed = error(&account);
    assert!(malformed.contains("base64url") && !malformed.contains("secret"), "{malformed}");
    fs::write(&key_file, "c2VjcmV0").unwrap();
    account.check().unwrap();
    assert!(!format!("{account:?}").contains("c2Vj"));
}

#[test]
fn an_id_is_visible() {
    let is_usable =
        |id: &str| ExternalAccount { key_id: id.to_owned(), key_file: PathBuf::new() }.has_usable_id();
    assert!(is_usable("kid-1") && is_usable("https://ca.example/eab/7"));
    assert!(!is_usable("") && !is_usable("a b") && !is_usable("a\n") && !is_usable("ä"));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse(&bytes);
    }
}
