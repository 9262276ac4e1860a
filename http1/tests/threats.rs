//! The rows H1 to H14 of the catalogue of threats, as far as a head decides them. H5 to H7 are with `BodyReader`.

use bytes::BytesMut;
use http1::{BodyLength, HeadError, Limits, RequestHead, RequestParser};

const FIELD_NAME: HeadError = HeadError::Malformed("field name");
const FIELD_VALUE: HeadError = HeadError::Malformed("field value");

fn parse(text: &[u8]) -> Result<Option<RequestHead>, HeadError> {
    RequestParser::new(Limits::default()).parse(&mut BytesMut::from(text))
}

/// What is wrong with a POST that has these field lines.
fn refusal(lines: &[u8]) -> Option<HeadError> {
    parse(&[b"POST / HTTP/1.1\r\nhost: a\r\n", lines, b"\r\n\r\n"].concat()).err()
}

fn refused(lines: &[u8], error: HeadError) {
    assert_eq!(refusal(lines), Some(error), "{}", lines.escape_ascii());
    assert_eq!(error.status(), 400);
}

#[test]
fn h1_a_length_beside_a_transfer_coding() {
    refused(b"content-length: 5\r\ntransfer-encoding: chunked", HeadError::ConflictingFraming);
    refused(b"Transfer-Encoding: chunked\r\nx: y\r\nContent-Length: 0", HeadError::ConflictingFraming);
}

#[test]
fn h2_transfer_codings_that_somebody_takes_for_chunked() {
    for value in [
        "xchunked",
        "chunkedx",
        "identity",
        "\"chunked\"",
        "'chunked'",
        "chunked,cow",
        "cow,chunked",
        "gzip, chunked",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "chunked;",
        "",
        "chunked chunked",
        "ch\tunked",
    ] {
        refused(format!("transfer-encoding: {value}").as_bytes(), HeadError::UnsupportedTransferCoding);
    }
    refused(b"transfer-encoding: chunked\xff", HeadError::UnsupportedTransferCoding);
    refused(b"transfer-encoding: \xa0chunked", HeadError::UnsupportedTransferCoding);
    for second in ["chunked", "identity", ""] {
        let lines = format!("transfer-encoding: chunked\r\ntransfer-encoding: {second}");
        refused(lines.as_bytes(), HeadError::UnsupportedTransferCoding);
    }
    for control in [b"\x0b", b"\x0c", b"\0", b"\x7f", b"\x1f"] {
        refused(&[b"transfer-encoding: ", &control[..], b"chunked"].concat(), FIELD_VALUE);
        refused(&[b"transfer-encoding: chunked", &control[..]].concat(), FIELD_VALUE);
    }
    refused(b"transfer-encoding:\r\n chunked", FIELD_NAME);
    refused(b"transfer-encoding : chunked", FIELD_NAME);
    refused(b"transfer-encoding\t: chunked", FIELD_NAME);
    refused(b"transfer\xadencoding: chunked", FIELD_NAME);
}

#[test]
fn h3_transfer_codings_on_http_1_0() {
    let text = b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(parse(text), Err(HeadError::UnsupportedTransferCoding));
}

#[test]
fn h4_lengths_that_are_not_one_number() {
    for value in [
        "",
        "+5",
        "-5",
        "0x5",
        "5,6",
        "5,,5",
        "5,",
        ",5",
        "5 5",
        "5a",
        "5.0",
        "18446744073709551616",
        "18446744073709551621",
        &"9".repeat(40),
        "\u{665}",
    ] {
        refused(format!("content-length: {value}").as_bytes(), HeadError::InvalidContentLength);
    }
    refused(b"content-length: 5\r\ncontent-length: 6", HeadError::InvalidContentLength);
    refused(b"content-length: 5\r\nx: y\r\ncontent-length:", HeadError::InvalidContentLength);
    assert_eq!(refusal(b"content-length: 5\r\ncontent-length: 5"), None);
}

#[test]
fn h8_fields_that_are_not() {
    for line in [
        &b"a b: c"[..],
        b"a",
        b": b",
        b" a: b",
        b"\ta: b",
        b"a : b",
        b"a\0: b",
        b"a\xe9: b",
        b"(a): b",
        b"a\r: b",
        b"a: b\r\n c",
        b"a: b\r\n\tc",
        b"\"a\": b",
        b"\x01: b",
    ] {
        refused(line, FIELD_NAME);
    }
    for line in [&b"a: b\rc"[..], b"a: b\0", b"a: \x01", b"a: b\x7f", b"a:\x0bb", b"a: b\r\rc", b"a: b\r"] {
        refused(line, FIELD_VALUE);
    }
}

#[test]
fn h9_bare_lf_is_no_line_end() {
    for text in [
        &b"GET / HTTP/1.1\nhost: a\n\n"[..],
        b"GET / HTTP/1.1\r\nhost: a\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n\n",
        b"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n",
        b"\nGET / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(parse(text), Err(HeadError::Malformed("line end")), "{}", text.escape_ascii());
    }
}

#[test]
fn h10_request_lines_that_are_not() {
    let line = HeadError::Malformed("request line");
    let method = HeadError::Malformed("method");
    let target = HeadError::Malformed("request target");
    let version = HeadError::Malformed("HTTP version");
    for (text, error) in [
        (&b"GET / HTTP/1.2"[..], HeadError::UnsupportedVersion),
        (b"GET / HTTP/0.9", HeadError::UnsupportedVersion),
        (b"GET / HTTP/2.0", HeadError::UnsupportedVersion),
        (b"GET / HTTP/3.0", HeadError::UnsupportedVersion),
        (b"GET /", line),
        (b"GET", method_without_space()),
        (b"GET / http/1.1", version),
        (b"GET / HTTP/1.10", version),
        (b"GET / HTTP/11", version),
        (b"GET / HTTP/1.1 ", version),
        (b"GET / HTTP/1.1\t", version),
        (b"GET / ", version),
        (b"GET  / HTTP/1.1", target),
        (b"GET /  HTTP/1.1", target),
        (b"GET /a b HTTP/1.1", target),
        (b"GET /\t HTTP/1.1", target),
        (b"GET /\0 HTTP/1.1", target),
        (b"GET /\x7f HTTP/1.1", target),
        (b"GET /\xff HTTP/1.1", target),
        (b"GET /\r HTTP/1.1", target),
        (b"GET\t/\tHTTP/1.1", method),
        (b"G\0T / HTTP/1.1", method),
        (b" GET / HTTP/1.1", method),
        (b"G(T) / HTTP/1.1", method),
    ] {
        let refusal = parse(&[text, b"\r\nhost: a\r\n\r\n"].concat());
        assert_eq!(refusal, Err(error), "{}", text.escape_ascii());
    }
    assert_eq!(parse(&b"M".repeat(64 * 1024)), Err(method));
}

fn method_without_space() -> HeadError {
    HeadError::Malformed("request line")
}

#[test]
fn h10_long_targets_are_not_waited_for() {
    let target = "a".repeat(1 << 20);
    let error = HeadError::TargetTooLong;
    assert_eq!(parse(format!("GET /{target} HTTP/1.1\r\n\r\n").as_bytes()), Err(error));
    assert_eq!(parse(format!("GET /{}", &target[..33 * 1024]).as_bytes()), Err(error));
    assert_eq!(error.status(), 414);
}

#[test]
fn h11_big_heads() {
    let head = |lines: &str| format!("GET / HTTP/1.1\r\n{lines}");
    let fields = "a: b\r\n".repeat(100);
    assert!(matches!(parse(head(&format!("{fields}\r\n")).as_bytes()), Ok(Some(_))));
    // The end of neither is waited for.
    let refusal = parse(head(&format!("{fields}c: d\r\n")).as_bytes()).unwrap_err();
    assert_eq!((refusal, refusal.status()), (HeadError::TooManyFields, 431));
    let refusal = parse(head(&format!("a: {}", "b".repeat(64 * 1024))).as_bytes()).unwrap_err();
    assert_eq!((refusal, refusal.status()), (HeadError::TooLarge, 431));
    let around = head("a: \r\n\r\n").len();
    for (size, fits) in [(64 * 1024 - around, true), (64 * 1024 - around + 1, false)] {
        let text = head(&format!("a: {}\r\n\r\nbody", "b".repeat(size)));
        assert_eq!(parse(text.as_bytes()).is_ok(), fits, "{size}");
    }
}

#[test]
fn h14_pipelined_requests_come_one_by_one() {
    let mut buffer = BytesMut::new();
    for i in 0..200 {
        buffer.extend_from_slice(format!("GET /{i} HTTP/1.1\r\nhost: h{i}\r\n\r\n").as_bytes());
    }
    let mut parser = RequestParser::new(Limits::default());
    for i in 0..200 {
        let head = parser.parse(&mut buffer).unwrap().unwrap();
        assert_eq!(head.target, format!("/{i}"));
        assert_eq!(head.fields.get("host").unwrap(), &format!("h{i}"));
        assert_eq!(head.body, BodyLength::Empty);
    }
    assert!(buffer.is_empty());
    assert_eq!(parser.parse(&mut buffer), Ok(None));
}
