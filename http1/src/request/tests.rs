use super::*;

fn parse(text: &[u8]) -> Result<Option<RequestHead>, HeadError> {
    RequestParser::new(Limits::default()).parse(&mut BytesMut::from(text))
}

fn head(text: &str) -> RequestHead {
    parse(text.as_bytes()).unwrap().unwrap()
}

/// A GET with these lines of fields.
fn with(lines: &str) -> RequestHead {
    head(&format!("GET / HTTP/1.1\r\n{lines}\r\n"))
}

#[test]
fn all_of_a_head_comes_out_as_it_went_in() {
    let text =
        b"PoST /a?b=c#d HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-B:\t2 \xff\t \r\nx-a:3\r\nEmpty:\r\n\r\nbody";
    let mut buffer = BytesMut::from(&text[..]);
    let head = RequestParser::new(Limits::default()).parse(&mut buffer).unwrap().unwrap();
    assert_eq!((&head.method[..], &head.target[..]), (&b"PoST"[..], &b"/a?b=c#d"[..]));
    assert_eq!(head.version, Version::H11);
    let fields: Vec<_> = head.fields.iter().map(|field| (&field.name[..], &field.value[..])).collect();
    let expected: [(&[u8], &[u8]); 5] =
        [(b"host", b"a"), (b"x-a", b"1"), (b"x-b", b"2 \xff"), (b"x-a", b"3"), (b"empty", b"")];
    assert_eq!(fields, expected);
    assert_eq!(buffer, "body");
}

#[test]
fn any_form_of_target_is_handed_on() {
    for target in ["/", "*", "http://a/b", "a:443", "//x", "/%zz|{}\"", "/\u{e9}"] {
        assert_eq!(head(&format!("GET {target} HTTP/1.1\r\n\r\n")).target, target);
    }
}

#[test]
fn a_body_is_as_long_as_its_fields_say() {
    for (lines, body) in [
        ("", BodyLength::Empty),
        ("content-length: 0\r\n", BodyLength::Exactly(0)),
        ("Content-Length: 5\r\n", BodyLength::Exactly(5)),
        ("content-length: 005\r\n", BodyLength::Exactly(5)),
        ("content-length: 18446744073709551615\r\n", BodyLength::Exactly(u64::MAX)),
        ("content-length: 5\r\ncontent-length: 5\r\n", BodyLength::Exactly(5)),
        ("content-length: 5, 5 ,5\r\n", BodyLength::Exactly(5)),
        ("transfer-encoding: \t CHUNKED \r\n", BodyLength::Chunked),
    ] {
        assert_eq!(with(lines).body, body, "{lines:?}");
    }
}

#[test]
fn connections_are_kept_by_version_and_options() {
    for (version, lines, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "connection: close\r\n", false),
        ("1.1", "connection: a, CLOSE\r\n", false),
        ("1.1", "connection: keep-alive\r\nconnection: ,close\r\n", false),
        ("1.1", "connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "connection: Keep-Alive\r\n", true),
        ("1.0", "connection: keep-alive, close\r\n", false),
        ("1.0", "proxy-connection: keep-alive\r\n", false),
    ] {
        let head = head(&format!("GET / HTTP/{version}\r\n{lines}\r\n"));
        assert_eq!(head.keep_alive, keep_alive, "{version} {lines:?}");
    }
}

#[test]
fn an_upgrade_needs_the_option_and_the_version() {
    let upgrade = |text: &str| head(text).upgrade;
    let wanted = "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\r\n";
    assert_eq!(upgrade(&format!("GET / HTTP/1.1\r\n{wanted}")).unwrap(), "websocket");
    assert_eq!(upgrade(&format!("GET / HTTP/1.0\r\n{wanted}")), None);
    for lines in [
        "upgrade: websocket\r\n",
        "connection: upgrade\r\n",
        "connection: upgrade\r\nupgrade:\r\n",
        "connection: upgrade\r\nupgrade: a\r\nupgrade: b\r\n",
    ] {
        assert_eq!(with(lines).upgrade, None, "{lines:?}");
    }
}

#[test]
fn h13_expectations_are_told_apart() {
    for (version, lines, expectation) in [
        ("1.1", "", Expectation::None),
        ("1.1", "expect: 100-Continue\r\n", Expectation::Continue),
        ("1.1", "expect: 100-continue\r\nexpect: 100-continue\r\n", Expectation::Continue),
        ("1.1", "expect: \r\n", Expectation::Unknown),
        ("1.1", "expect: 200-ok\r\n", Expectation::Unknown),
        ("1.1", "expect: x\r\nexpect: 100-continue\r\n", Expectation::Unknown),
        ("1.1", "expect: 100-continue, x\r\n", Expectation::Unknown),
        ("1.0", "expect: 100-continue\r\n", Expectation::None),
    ] {
        let head = head(&format!("PUT / HTTP/{version}\r\n{lines}\r\n"));
        assert_eq!(head.expectation, expectation, "{version} {lines:?}");
    }
}

#[test]
fn a_few_empty_lines_before_a_request_are_skipped() {
    assert_eq!(head("\r\n\r\nGET / HTTP/1.1\r\n\r\n").method, "GET");
    let many = "\r\n".repeat(5);
    assert_eq!(parse(many.as_bytes()), Err(HeadError::Malformed("empty lines")));
    // They cannot be smuggled past the limit one at a time.
    let mut parser = RequestParser::new(Limits::default());
    let mut buffer = BytesMut::new();
    let last = (0..5).map(|_| {
        buffer.extend_from_slice(b"\r\n");
        parser.parse(&mut buffer)
    });
    assert!(last.last().unwrap().is_err());
}

#[test]
fn what_cannot_become_a_request_is_refused_at_once() {
    for (beginning, error) in [
        (&b"\x16\x03\x01"[..], HeadError::Malformed("method")),
        (b" ", HeadError::Malformed("method")),
        (b"\n", HeadError::Malformed("line end")),
        (b"\rG", HeadError::Malformed("method")),
        (b"GET /\r\n", HeadError::Malformed("request line")),
        (b"GET / HTTP/1.1\n", HeadError::Malformed("line end")),
        (b"PRI * HTTP/2.0\r\n", HeadError::UnsupportedVersion),
    ] {
        assert_eq!(parse(beginning), Err(error), "{beginning:?}");
    }
}

#[test]
fn a_target_may_be_as_long_as_its_limit_however_it_arrives() {
    let limits = Limits { target_bytes: 100, ..Limits::default() };
    for (size, fits) in [(100, true), (101, false)] {
        let text = format!("OPTIONS /{} HTTP/1.1\r\n\r\n", "a".repeat(size - 1));
        let mut buffer = BytesMut::new();
        let mut parser = RequestParser::new(limits);
        let mut read = Ok(None);
        for byte in text.bytes() {
            buffer.extend_from_slice(&[byte]);
            read = parser.parse(&mut buffer);
            if read.is_err() {
                break;
            }
        }
        assert_eq!(read.as_ref().err(), (!fits).then_some(&HeadError::TargetTooLong), "{size}");
        let at_once = RequestParser::new(limits).parse(&mut BytesMut::from(text.as_bytes()));
        assert_eq!(at_once, read, "{size}");
    }
}

#[test]
fn each_byte_is_looked_at_once_however_slowly_it_comes() {
    let text = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(10_000));
    let mut parser = RequestParser::new(Limits::default());
    let mut buffer = BytesMut::new();
    for byte in &text.as_bytes()[..text.len() - 1] {
        buffer.extend_from_slice(&[*byte]);
        assert_eq!(parser.parse(&mut buffer), Ok(None));
    }
    assert_eq!(parser.scanner.looked_at(), text.len() - 1);
    buffer.extend_from_slice(b"\n");
    assert!(parser.parse(&mut buffer).unwrap().is_some());
}

#[test]
fn what_was_refused_stays_refused() {
    for text in
        ["GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", "GET / HTTP/1.1\r\na: b\n", "GET  / HTTP/1.1\r\n"]
    {
        let mut parser = RequestParser::new(Limits::default());
        let mut buffer = BytesMut::from(text);
        let refusal = parser.parse(&mut buffer).unwrap_err();
        buffer.extend_from_slice(b"\r\nGET / HTTP/1.1\r\n\r\n");
        assert_eq!(parser.parse(&mut buffer), Err(refusal), "{text:?}");
        assert_eq!(parser.parse(&mut BytesMut::from("GET / HTTP/1.1\r\n\r\n")), Err(refusal), "{text:?}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let head = head("GET /?key=hush HTTP/1.1\r\nauthorization: hush\r\n\r\n");
    let shown = format!("{head:?}");
    assert!(shown.contains("authorization") && !shown.contains("hush"), "{shown}");
}
