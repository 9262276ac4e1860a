use proptest::prelude::*;

use super::*;

/// Signature, command, family, and what follows with its length.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [v2::SIGNATURE, &[command, family], &length, rest].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

fn v6() -> Vec<u8> {
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    [&address("2001:db8::1")[..], &address("2001:db8::2"), &[0xdc, 0x04, 0x01, 0xbb]].concat()
}

fn source_of(bytes: &[u8]) -> Result<Option<String>, Malformed> {
    let header = parse(bytes)?.expect("a whole header");
    assert_eq!(header.length, bytes.len());
    Ok(header.source.map(|source| source.to_string()))
}

/// No part of a header is taken for the whole or for none, and what follows it is not looked at.
fn assert_prefixes(header: &[u8]) {
    let whole = parse(header).unwrap();
    assert!(whole.is_some());
    for cut in 0..header.len() {
        assert_eq!(parse(&header[..cut]), Ok(None), "{cut} bytes of {header:?}");
    }
    assert_eq!(parse(&[header, b"GET / HTTP/1.1\r\n\r\n"].concat()), Ok(whole));
}

#[test]
fn a_line_names_the_source() {
    for (line, source) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Some("192.0.2.1:56324")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Some("255.255.255.255:65535")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 0 443\r\n", Some("[2001:db8::1]:0")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 443\r\n", Some("192.0.2.1:1")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", None),
    ] {
        assert_eq!(source_of(line.as_bytes()), Ok(source.map(str::to_owned)), "{line}");
        assert_prefixes(line.as_bytes());
    }
}

#[test]
fn a_line_that_is_none_is_refused() {
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(93));
    assert_eq!(endless.len(), 107);
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
        "PROXY TCP4 192.0.2.1  198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 56324 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 056 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +56 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 x\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 56324 443\r\n",
        "PROXY \r\n",
        "PROXY  UNKNOWN\r\n",
        "PROXY\tUNKNOWN\r\n",
        "PROXY unknown\r\n",
        "proxy UNKNOWN\r\n",
        "GET / HTTP/1.1\r\n",
        &endless,
    ] {
        assert!(parse(line.as_bytes()).is_err(), "{line:?}");
    }
    assert!(parse(b"PROXY UNKNOWN \xff\r\n").is_err());
}

#[test]
fn a_binary_header_names_the_source() {
    assert_eq!(source_of(&v2(0x21, 0x11, &V4)), Ok(Some("192.0.2.1:56324".to_owned())));
    assert_eq!(source_of(&v2(0x21, 0x21, &v6())), Ok(Some("[2001:db8::1]:56324".to_owned())));
    assert_prefixes(&v2(0x21, 0x11, &V4));
    assert_prefixes(&v2(0x21, 0x21, &v6()));
}

#[test]
fn a_proxy_may_speak_for_itself() {
    for header in [
        v2(0x20, 0x00, &[]),
        v2(0x20, 0x11, &V4),
        v2(0x20, 0xff, &[1, 2, 3]),
        v2(0x21, 0x00, &[]),
        v2(0x21, 0x12, &V4),
        v2(0x21, 0x31, &[0; 216]),
    ] {
        assert_eq!(source_of(&header), Ok(None), "{header:?}");
        assert_prefixes(&header);
    }
}

#[test]
fn a_binary_header_that_is_none_is_refused() {
    for header in [
        v2(0x11, 0x11, &V4),
        v2(0x22, 0x11, &V4),
        v2(0x21, 0x41, &V4),
        v2(0x21, 0x13, &V4),
        v2(0x21, 0x11, &V4[..11]),
        v2(0x21, 0x21, &V4),
        v2(0x21, 0x11, &[&V4[..], &[0x20, 0]].concat()),
        v2(0x21, 0x11, &[&V4[..], &[0x20, 0, 1]].concat()),
        v2(0x21, 0x11, &[0; 4097]),
    ] {
        assert!(parse(&header).is_err(), "{header:?}");
    }
    assert!(parse(b"\r\n\r\n\0\r\nQUIT\r").is_err());
    assert!(parse(&v2(0x21, 0x11, &[0; 4097])[..16]).is_err(), "nobody waits for too long a header");
}

#[test]
fn a_binary_header_tells_of_tls() {
    let with = |values: &[u8]| parse(&v2(0x21, 0x11, &[&V4[..], values].concat())).unwrap().unwrap().tls;
    assert!(!with(&[]));
    assert!(with(&[0x20, 0, 5, 0x01, 0, 0, 0, 0]));
    assert!(with(&[0x01, 0, 2, b'h', b'2', 0x20, 0, 5, 0x07, 0, 0, 0, 0]));
    assert!(!with(&[0x20, 0, 5, 0x00, 0, 0, 0, 0]));
    assert!(!with(&[0x20, 0, 0]));
}

proptest! {
    #[test]
    fn anything_is_read_without_a_panic(version in 0usize..3, rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let signature: &[u8] = [&b""[..], v1::SIGNATURE, v2::SIGNATURE][version];
        let bytes = [signature, &rest].concat();
        if let Ok(Some(header)) = parse(&bytes) {
            prop_assert!(header.length <= bytes.len());
            prop_assert_eq!(parse(&bytes[..header.length]), Ok(Some(header)));
        }
    }
}
