use super::*;

const GET: Asked = Asked { head: false, upgrade: false };
const HEAD: Asked = Asked { head: true, upgrade: false };
const UPGRADE: Asked = Asked { head: false, upgrade: true };

fn parse(text: &[u8], asked: Asked) -> Result<Option<ResponseHead>, HeadError> {
    ResponseParser::new(Limits::default()).parse(&mut BytesMut::from(text), asked)
}

fn head(text: &str, asked: Asked) -> ResponseHead {
    parse(text.as_bytes(), asked).unwrap().unwrap()
}

#[test]
fn all_of_a_head_comes_out_as_it_went_in() {
    let text = b"HTTP/1.1 207 Tr\xe8s bien\r\nSet-Cookie: a\r\nx: \xff\r\nset-cookie: b\r\n\r\nbody";
    let mut buffer = BytesMut::from(&text[..]);
    let head = ResponseParser::new(Limits::default()).parse(&mut buffer, GET).unwrap().unwrap();
    assert_eq!((head.status, &head.reason[..]), (207, &b"Tr\xe8s bien"[..]));
    let fields: Vec<_> = head.fields.iter().map(|field| (&field.name[..], &field.value[..])).collect();
    let expected: [(&[u8], &[u8]); 3] = [(b"set-cookie", b"a"), (b"x", b"\xff"), (b"set-cookie", b"b")];
    assert_eq!(fields, expected);
    assert_eq!(buffer, "body");
}

#[test]
fn a_reason_phrase_may_be_missing() {
    for (line, reason) in [
        ("HTTP/1.1 200 OK", "OK"),
        ("HTTP/1.1 200 ", ""),
        ("HTTP/1.1 200", ""),
        ("HTTP/1.0 999  two  words ", " two  words "),
    ] {
        assert_eq!(head(&format!("{line}\r\n\r\n"), GET).reason, reason, "{line:?}");
    }
}

#[test]
fn lines_of_old_services_may_end_with_lf() {
    let head = head("HTTP/1.0 200 OK\nA: b\r\nContent-Length: 2\n\n", GET);
    assert_eq!(head.body, BodyLength::Exactly(2));
    assert_eq!(head.fields.get("a").unwrap(), "b");
}

#[test]
fn a_body_is_as_long_as_status_method_and_fields_say() {
    let length = "content-length: 7\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    for (status, asked, lines, body, content_length) in [
        (200, GET, "", BodyLength::UntilClose, None),
        (200, GET, length, BodyLength::Exactly(7), Some(7)),
        (200, GET, "content-length: 7, 7\r\n", BodyLength::Exactly(7), Some(7)),
        (200, GET, chunked, BodyLength::Chunked, None),
        (200, HEAD, "", BodyLength::Empty, None),
        (200, HEAD, length, BodyLength::Empty, Some(7)),
        (404, HEAD, chunked, BodyLength::Empty, None),
        (204, GET, length, BodyLength::Empty, Some(7)),
        (304, GET, length, BodyLength::Empty, Some(7)),
        (304, GET, chunked, BodyLength::Empty, None),
        (103, GET, length, BodyLength::Empty, Some(7)),
        (205, GET, "content-length: 0\r\n", BodyLength::Exactly(0), Some(0)),
    ] {
        let head = head(&format!("HTTP/1.1 {status} x\r\n{lines}\r\n"), asked);
        assert_eq!((head.body, head.content_length), (body, content_length), "{status} {lines:?}");
        assert_eq!(head.fields.is_empty(), lines.is_empty());
    }
}

#[test]
fn a10_what_follows_a_body_that_must_not_be_is_left_over() {
    for (status, asked) in [(200, HEAD), (204, GET), (304, GET)] {
        let text = format!("HTTP/1.1 {status} x\r\ncontent-length: 4\r\n\r\nEVIL");
        let mut buffer = BytesMut::from(text.as_bytes());
        let head = ResponseParser::new(Limits::default()).parse(&mut buffer, asked).unwrap().unwrap();
        assert_eq!((head.body, &buffer[..]), (BodyLength::Empty, &b"EVIL"[..]));
    }
}

#[test]
fn connections_are_kept_by_version_options_and_length() {
    for (line, lines, keep_alive) in [
        ("HTTP/1.1 200 x", "content-length: 0\r\n", true),
        ("HTTP/1.1 200 x", "content-length: 0\r\nconnection: close\r\n", false),
        ("HTTP/1.1 200 x", "connection: keep-alive\r\n", false),
        ("HTTP/1.0 200 x", "content-length: 0\r\n", false),
        ("HTTP/1.0 200 x", "content-length: 0\r\nconnection: keep-alive\r\n", true),
        ("HTTP/1.1 304 x", "", true),
    ] {
        assert_eq!(head(&format!("{line}\r\n{lines}\r\n"), GET).keep_alive, keep_alive, "{line} {lines:?}");
    }
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let text =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    let mut buffer = BytesMut::from(text.as_bytes());
    let mut parser = ResponseParser::new(Limits::default());
    let mut next = || parser.parse(&mut buffer, GET).unwrap().unwrap();
    assert_eq!((next().status, next().is_interim(), next().is_interim()), (100, true, false));
}

#[test]
fn protocols_are_switched_only_if_that_was_asked_for() {
    let text =
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n\x81\x00";
    assert_eq!(parse(text, GET), Err(HeadError::UnexpectedSwitch));
    let head = parse(text, UPGRADE).unwrap().unwrap();
    assert!(head.is_switching() && !head.is_interim());
    assert_eq!((head.body, head.upgrade.as_deref()), (BodyLength::Empty, Some(&b"websocket"[..])));
    assert_eq!(parse(b"HTTP/1.1 101 x\r\n\r\n", UPGRADE), Err(HeadError::UnexpectedSwitch));
}

#[test]
fn bad_responses_are_refused() {
    for (text, error) in [
        (
            &b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n"[..],
            HeadError::ConflictingFraming,
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            HeadError::InvalidContentLength,
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", HeadError::InvalidContentLength),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            HeadError::UnsupportedTransferCoding,
        ),
        (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", HeadError::UnsupportedTransferCoding),
        (b"HTTP/1.2 200 OK\r\n\r\n", HeadError::UnsupportedVersion),
        (b"HTTP/2 200\r\n\r\n", HeadError::Malformed("HTTP version")),
        (b"HTTP/1.1 099 x\r\n\r\n", HeadError::Malformed("status line")),
        (b"HTTP/1.1 20 x\r\n\r\n", HeadError::Malformed("status line")),
        (b"HTTP/1.1 2000 x\r\n\r\n", HeadError::Malformed("status line")),
        (b"HTTP/1.1 +20 x\r\n\r\n", HeadError::Malformed("status line")),
        (b"HTTP/1.1  200 x\r\n\r\n", HeadError::Malformed("status line")),
        (b"HTTP/1.1 200 a\rb\r\n\r\n", HeadError::Malformed("reason phrase")),
        (b"HTTP/1.1 200 a\0b\r\n\r\n", HeadError::Malformed("reason phrase")),
        (b"HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", HeadError::Malformed("field name")),
        (b"HTTP/1.1 200 OK\r\na : b\r\n\r\n", HeadError::Malformed("field name")),
        (b"HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n", HeadError::Malformed("field value")),
        // Another protocol is known by its first bytes.
        (b"\x15\x03\x03\x00\x02\x02P", HeadError::Malformed("status line")),
        (b"SSH-2.0-OpenSSH", HeadError::Malformed("status line")),
        (b"<html>", HeadError::Malformed("status line")),
    ] {
        assert_eq!(parse(text, GET), Err(error), "{}", text.escape_ascii());
    }
}

#[test]
fn a_status_line_without_end_is_refused() {
    let mut buffer = BytesMut::from("HTTP/1.1 200 ");
    let mut parser = ResponseParser::new(Limits::default());
    assert_eq!(parser.parse(&mut buffer, GET), Ok(None));
    buffer.extend_from_slice(&[b'a'; 1025]);
    assert!(parser.parse(&mut buffer, GET).is_ok(), "the last byte may be the CR of the line end");
    buffer.extend_from_slice(b"a");
    assert_eq!(parser.parse(&mut buffer, GET), Err(HeadError::Malformed("status line")));
}
