use std::{error::Error as _, path::PathBuf, time::Duration};

use proto::{Credential, Secret};
use session::AgentIdPattern;

use super::*;

const SECRET: &str = "qQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQqQo";

fn parse(text: &str) -> Result<TokenFile, TokenFileError> {
    TokenFile::parse(text, Path::new("tokens.toml"))
}

fn token(id: &str, secret: &str, agent_ids: &str) -> String {
    format!("[[token]]\nid = '{id}'\nsecret = '{secret}'\nagent_ids = {agent_ids}\n")
}

/// A directory that is gone after the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("indranet-tokens-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("tokens.toml")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(agent_id: &str) -> TokenEntry {
    let Credential { token, secret } = generate().unwrap();
    TokenEntry::new(token, TokenKey::Stored(secret), vec![agent_id.parse().unwrap()])
}

fn stored(entry: &TokenEntry) -> &Secret {
    match &entry.key {
        TokenKey::Stored(secret) => secret,
        TokenKey::Derived(_) => panic!("a derived key"),
    }
}

#[test]
fn a_file_is_a_list_of_tokens() {
    let text = token("itk_a", SECRET, "['one', 'two']")
        + "created = '2026-11-23'\n"
        + &token("itk_b", SECRET, "['*']");
    let entries = parse(&text).unwrap().entries;
    assert_eq!(entries[0].id.as_str(), "itk_a");
    assert_eq!(entries[0].agent_ids, ["one".parse().unwrap(), "two".parse().unwrap()]);
    assert_eq!(entries[1].agent_ids, [AgentIdPattern::Any]);
    assert!(parse("").unwrap().entries.is_empty());
}

#[test]
fn every_error_names_file_and_entry_and_no_content() {
    let twice = token("itk_a", SECRET, "['one']").repeat(2);
    for (text, expected) in [
        (token("itk_a", &SECRET[1..], "['one']"), "token itk_a in tokens.toml has a malformed secret"),
        (token("itk_a", SECRET, "[]"), "token itk_a in tokens.toml has empty agent_ids"),
        (
            token("itk_a", SECRET, &format!("['{SECRET}']")),
            "token itk_a in tokens.toml has a malformed entry",
        ),
        (token(SECRET, SECRET, "['one']"), "[[token]] number 1 in tokens.toml has a malformed id"),
        (twice, "token itk_a stands twice in tokens.toml"),
        (token("itk_a", SECRET, &format!("'{SECRET}'")), "tokens.toml:4: not a valid token file"),
        (format!("[[token]]\n{SECRET} = 1"), "tokens.toml:2: not a valid token file"),
        (format!("\nsecret = {SECRET}"), "tokens.toml:2: not a valid token file"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        assert!(!format!("{error} {cause} {error:?}").contains(&SECRET[1..]), "{error}");
    }
}

#[test]
fn an_added_token_can_be_loaded_and_is_for_its_owner_only() {
    let directory = Directory::new("added");
    let (one, two) = (entry("one"), entry("*"));
    TokenFile::add(&directory.file(), &one, None).unwrap();
    TokenFile::add(&directory.file(), &two, None).unwrap();

    let entries = TokenFile::load(&directory.file()).unwrap().entries;
    assert_eq!(entries.iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&one.id, &two.id]);
    assert!(stored(&entries[0]).same_as(stored(&one)));
    assert_eq!(entries[1].agent_ids, two.agent_ids);
    assert_eq!(fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1, "no draft is left");
}

#[test]
fn what_people_wrote_into_the_file_stays() {
    let directory = Directory::new("comments");
    let before = format!("# ours\n{}", token("itk_a", SECRET, "['one'] # the first"));
    fs::write(directory.file(), before.trim_end()).unwrap();
    TokenFile::add(&directory.file(), &entry("two"), None).unwrap();

    let after = fs::read_to_string(directory.file()).unwrap();
    assert!(after.starts_with(before.trim_end()), "{after}");
    assert_eq!(TokenFile::load(&directory.file()).unwrap().entries.len(), 2);
}

#[test]
fn a_broken_file_is_left_as_it_is() {
    let directory = Directory::new("broken");
    fs::write(directory.file(), "token = 1").unwrap();
    TokenFile::add(&directory.file(), &entry("two"), None).unwrap_err();
    assert_eq!(fs::read_to_string(directory.file()).unwrap(), "token = 1");
}

#[test]
fn a_link_to_the_file_stays_a_link() {
    let directory = Directory::new("link");
    let link = directory.0.join("link.toml");
    fs::write(directory.file(), "").unwrap();
    std::os::unix::fs::symlink(directory.file(), &link).unwrap();
    TokenFile::add(&link, &entry("one"), None).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(TokenFile::load(&directory.file()).unwrap().entries.len(), 1);
}

#[test]
fn many_may_add_at_once_and_none_is_lost() {
    let directory = Directory::new("many");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| TokenFile::add(&directory.file(), &entry("one"), None).unwrap());
        }
    });
    assert_eq!(TokenFile::load(&directory.file()).unwrap().entries.len(), 8);
}

const NOON: &str = "2026-11-23T12:00:00Z";

fn noon() -> SystemTime {
    time::parse(NOON).unwrap()
}

fn rotation(master: Option<&MasterKey>, overlap: u64) -> Rotation<'_> {
    let overlap = Duration::from_secs(overlap);
    Rotation { fresh: Secret::from_bytes([7; 32]), master, now: noon(), overlap }
}

fn id(text: &str) -> TokenId {
    TokenId::parse(text).unwrap()
}

#[test]
fn all_that_a_token_has_survives_the_file() {
    let directory = Directory::new("all");
    let written = TokenEntry {
        name: Some("the \"shop\" = # 1".to_owned()),
        created: Some(NOON.to_owned()),
        expires: Some(noon()),
        max_sessions: Some(3),
        max_concurrent: Some(10),
        ..TokenEntry::new(id("itk_a"), TokenKey::Derived(4), vec!["one".parse().unwrap()])
    };
    TokenFile::add(&directory.file(), &written, None).unwrap();
    let read = &TokenFile::load(&directory.file()).unwrap().entries[0];
    assert_eq!(format!("{read:?}"), format!("{written:?}"));
}

#[test]
fn what_cannot_be_is_refused_and_named() {
    let base = "[[token]]\nid = 'itk_a'\nagent_ids = ['one']\n";
    let secret = format!("secret = '{SECRET}'\n");
    let previous = format!("previous_secret = '{SECRET}'\n");
    for (lines, what) in [
        (String::new(), "neither secret nor generation"),
        (format!("{secret}generation = 1\n"), "a secret beside a generation"),
        (format!("{secret}expires = 'soon'\n"), "a malformed time in expires"),
        (format!("{secret}revoked = ''\n"), "a malformed time in revoked"),
        (format!("{secret}{previous}"), "a previous key without previous_until"),
        (format!("{secret}previous_until = '2027-01-01'\n"), "a previous key without previous_until"),
        (format!("{secret}max_sessions = 0\n"), "a limit of zero"),
        (format!("{secret}name = 'a\\u001b[31m'\n").replace('\'', "\""), "a name that is empty"),
    ] {
        let error = parse(&format!("{base}{lines}")).unwrap_err().to_string();
        assert!(error.contains(what) && !error.contains(SECRET), "{error}");
    }
}

#[test]
fn a_rotation_keeps_the_old_key_for_a_while_and_all_comments() {
    let directory = Directory::new("rotated");
    let text = format!("# ours\n{}# the end\n", token("itk_a", SECRET, "['one'] # the first"));
    fs::write(directory.file(), text + "\n" + &token("itk_b", SECRET, "['two']")).unwrap();
    let entry = TokenFile::rotate(&directory.file(), &id("itk_a"), rotation(None, 60)).unwrap();
    assert!(stored(&entry).same_as(&Secret::from_bytes([7; 32])));
    let (TokenKey::Stored(old), until) = entry.previous.clone().unwrap() else { panic!("{entry:?}") };
    assert_eq!((&*old.reveal(), until), (&SECRET.to_owned(), noon() + Duration::from_secs(60)));
    assert_eq!(entry.state(noon()), TokenState::Rotating);
    assert_eq!(entry.state(until), TokenState::Active);
    assert_eq!(entry.rotated, Some(noon()));

    let text = fs::read_to_string(directory.file()).unwrap();
    for comment in ["# ours", "# the first", "# the end"] {
        assert!(text.contains(comment), "{text}");
    }
    let file = TokenFile::load(&directory.file()).unwrap();
    assert_eq!(&*stored(&file.entries[1]).reveal(), SECRET, "others stay as they are");

    let entry = TokenFile::rotate(&directory.file(), &id("itk_a"), rotation(None, 0)).unwrap();
    assert!(entry.previous.is_none());
    assert!(!fs::read_to_string(directory.file()).unwrap().contains("previous"));
}

#[test]
fn a_token_becomes_derived_when_it_is_rotated_and_nothing_of_it_is_in_the_file() {
    let directory = Directory::new("derived");
    let master = MasterKey::generate().unwrap();
    fs::write(directory.file(), token("itk_a", SECRET, "['one']")).unwrap();
    let path = directory.file();
    let entry = TokenFile::rotate(&path, &id("itk_a"), rotation(Some(&master), 0)).unwrap();
    assert!(matches!(entry.key, TokenKey::Derived(1)));
    let entry = TokenFile::rotate(&path, &id("itk_a"), rotation(Some(&master), 60)).unwrap();
    assert!(matches!(entry.key, TokenKey::Derived(2)));
    assert!(matches!(entry.previous, Some((TokenKey::Derived(1), _))));
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("secret"), "{text}");

    let file = TokenFile::load(&path).unwrap();
    let credentials = file.credentials(Some(&master), &path).unwrap();
    let grant = credentials.grant("itk_a").unwrap();
    assert!(grant.secret.same_as(&master.secret(&id("itk_a"), 2)));
    assert!(grant.previous.as_ref().unwrap().secret.same_as(&master.secret(&id("itk_a"), 1)));

    let error = file.credentials(None, &path).unwrap_err();
    assert!(error.to_string().contains("--master-key-file"), "{error}");
    let error = TokenFile::rotate(&path, &id("itk_a"), rotation(None, 60)).unwrap_err();
    assert!(matches!(error, TokenFileError::NoMasterKey { .. }), "{error}");
}

#[test]
fn both_kinds_of_tokens_stand_in_one_file() {
    let master = MasterKey::generate().unwrap();
    let text = token("itk_a", SECRET, "['one']") + "[[token]]\nid='itk_b'\ngeneration=3\nagent_ids=['two']\n";
    let credentials = parse(&text).unwrap().credentials(Some(&master), Path::new("x")).unwrap();
    assert_eq!(&*credentials.grant("itk_a").unwrap().secret.reveal(), SECRET);
    assert!(credentials.grant("itk_b").unwrap().secret.same_as(&master.secret(&id("itk_b"), 3)));
}

#[test]
fn a_revoked_token_stays_as_a_record_until_it_is_purged() {
    let directory = Directory::new("revoked");
    let path = directory.file();
    fs::write(&path, token("itk_a", SECRET, "['one']") + &token("itk_b", SECRET, "['two']")).unwrap();
    assert!(TokenFile::revoke(&path, &id("itk_a"), noon()).unwrap());
    assert!(!TokenFile::revoke(&path, &id("itk_a"), noon() + Duration::from_secs(1)).unwrap());
    let entry = TokenFile::load(&path).unwrap().entries[0].clone();
    assert_eq!((entry.revoked, entry.state(noon())), (Some(noon()), TokenState::Revoked));
    let error = TokenFile::rotate(&path, &id("itk_a"), rotation(None, 0)).unwrap_err();
    assert!(matches!(error, TokenFileError::Revoked { .. }), "{error}");

    TokenFile::purge(&path, &id("itk_a")).unwrap();
    let left = TokenFile::load(&path).unwrap().entries;
    assert_eq!(left.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>(), ["itk_b"]);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for error in [
        TokenFile::purge(&path, &id("itk_a")).unwrap_err(),
        TokenFile::revoke(&path, &id("itk_a"), noon()).unwrap_err(),
    ] {
        assert!(matches!(error, TokenFileError::Unknown { .. }), "{error}");
    }
}

#[test]
fn tokens_that_are_written_otherwise_are_read_and_not_changed() {
    let directory = Directory::new("inline");
    let text = format!("token = [{{ id = 'itk_a', secret = '{SECRET}', agent_ids = ['one'] }}]\n");
    fs::write(directory.file(), &text).unwrap();
    let error = TokenFile::revoke(&directory.file(), &id("itk_a"), noon()).unwrap_err();
    assert!(matches!(error, TokenFileError::Layout { .. }), "{error}");
    assert_eq!(fs::read_to_string(directory.file()).unwrap(), text);
}

#[test]
fn changes_at_the_same_time_are_all_made() {
    let directory = Directory::new("changes");
    let path = directory.file();
    let names: Vec<String> = (0..8).map(|index| format!("itk_{index}")).collect();
    fs::write(&path, names.iter().map(|name| token(name, SECRET, "['one']")).collect::<String>()).unwrap();
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| assert!(TokenFile::revoke(&path, &id(name), noon()).unwrap()));
            scope.spawn(|| TokenFile::add(&path, &entry("two"), None).unwrap());
        }
    });
    let entries = TokenFile::load(&path).unwrap().entries;
    assert_eq!(entries.len(), 16);
    assert_eq!(entries.iter().filter(|entry| entry.revoked.is_some()).count(), 8);
}

#[test]
fn another_master_key_is_noticed() {
    let directory = Directory::new("other-master");
    let path = directory.file();
    let [master, other] = [0; 2].map(|_| MasterKey::generate().unwrap());
    let derived = |text| TokenEntry::new(id(text), TokenKey::Derived(1), vec!["one".parse().unwrap()]);
    TokenFile::add(&path, &derived("itk_a"), Some(&master)).unwrap();
    TokenFile::add(&path, &derived("itk_b"), Some(&master)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with(&format!("master_key = \"{}\"\n", master.fingerprint())), "{text}");
    let file = TokenFile::load(&path).unwrap();
    assert!(file.credentials(Some(&master), &path).is_ok());
    for error in [
        file.credentials(Some(&other), &path).unwrap_err(),
        TokenFile::add(&path, &derived("itk_c"), Some(&other)).unwrap_err(),
        TokenFile::rotate(&path, &id("itk_a"), rotation(Some(&other), 60)).unwrap_err(),
    ] {
        assert!(matches!(error, TokenFileError::OtherMasterKey { .. }), "{error}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "nothing is changed");
    TokenFile::rotate(&path, &id("itk_a"), rotation(Some(&master), 60)).unwrap();

    // Where nothing comes from the old key any more, another one may take its place.
    TokenFile::purge(&path, &id("itk_a")).unwrap();
    TokenFile::purge(&path, &id("itk_b")).unwrap();
    TokenFile::add(&path, &derived("itk_c"), Some(&other)).unwrap();
    assert_eq!(TokenFile::load(&path).unwrap().master_key, Some(other.fingerprint()));
}

#[test]
fn a_file_of_before_learns_its_master_key_when_it_is_written() {
    let directory = Directory::new("old-master");
    let path = directory.file();
    let [master, other] = [0; 2].map(|_| MasterKey::generate().unwrap());
    let before = "# ours\n[[token]]\nid = 'itk_a'\ngeneration = 1\nagent_ids = ['one'] # the first\n";
    fs::write(&path, before).unwrap();
    let file = TokenFile::load(&path).unwrap();
    assert!(file.credentials(Some(&other), &path).is_ok(), "nobody can know");
    TokenFile::rotate(&path, &id("itk_a"), rotation(Some(&master), 60)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("# ours") && text.contains("# the first"), "{text}");
    assert!(TokenFile::load(&path).unwrap().credentials(Some(&other), &path).is_err());
}
