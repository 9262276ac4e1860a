//! Header conversion: what an agent may send as the fields of a head, a client reads as the same fields and nothing else.

use bytes::{Bytes, BytesMut};
use http1::{
    Asked, BodyLength, BodyReader, Connection, Framing, Limits, Read, RequestParser, ResponseParser, Version,
    chunk, write_request_head, write_response_head,
};
use proto::{
    Fields, Header,
    fields::{is_field_value, is_token},
    headers::{EndToEnd, trailers_from_wire, trailers_to_wire},
    limits,
};

use crate::input::Input;

pub(super) const WORDS: &[&[u8]] = &[
    b"\x0econtent-length",
    b"\x11transfer-encoding",
    b"\x0aconnection",
    b"\x02te",
    b"\x08trailers",
    b"\x07upgrade",
    b"\x07chunked",
    b"\x0akeep-alive",
    b"close, te",
    b"\x04host",
    b"\r\n",
    b"18446744073709551615",
];

/// Fields that this hop writes itself stand beside those of the head, and count.
const WRITTEN: usize = 4;

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let declared = input.flag().then(|| u64::from(input.u32()));
    let close = input.flag();
    let mut fields = Vec::new();
    while !input.is_empty() {
        let name = Bytes::copy_from_slice(input.bytes(64));
        fields.push(Header { name, value: Bytes::copy_from_slice(input.bytes(256)) });
    }
    if let Ok(message) = EndToEnd::from_wire(fields.clone(), declared) {
        head(message, &fields, declared, close);
    }
    if let Ok(trailers) = trailers_from_wire(fields) {
        sound(&trailers);
        behind_chunks(&trailers);
        let wire = trailers_to_wire(trailers.clone()).unwrap();
        assert_eq!(trailers_from_wire(wire), Ok(trailers), "trailers that travel twice are others");
    }
}

fn head(message: EndToEnd, sent: &[Header], declared: Option<u64>, close: bool) {
    sound(&message.fields);
    for field in sent.iter().filter(|field| field.name.eq_ignore_ascii_case(b"content-length")) {
        let said = std::str::from_utf8(&field.value).unwrap().parse().ok();
        assert_eq!(message.content_length, said, "two lengths");
    }
    assert!(
        declared.is_none() || message.content_length == declared,
        "another length than the message's own"
    );
    for hop in
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length"]
    {
        assert!(!message.fields.contains(hop), "{hop} travelled");
    }
    let again = EndToEnd::from_wire(message.fields.clone().into_wire(), message.content_length);
    assert_eq!(again.as_ref(), Ok(&message), "what travels twice is something else");
    if message.fields.len() + WRITTEN <= limits::MAX_HEADERS {
        written_and_read(&message, close);
    }
}

fn written_and_read(message: &EndToEnd, close: bool) {
    let framing = message.content_length.map_or(Framing::Chunked, Framing::Length);
    let connection = if close { Connection::Close } else { Connection::KeepAlive };
    // The bytes around the fields count, too.
    let limits = Limits { head_bytes: 2 * limits::MAX_HEAD_BYTES, ..Limits::default() };

    let mut out = BytesMut::new();
    write_response_head(&mut out, Version::H11, 200, None, &message.fields, framing, connection);
    let head = ResponseParser::new(limits).parse(&mut out, Asked::default()).unwrap().unwrap();
    assert!(out.is_empty(), "a head behind the head");
    assert_eq!((Framing::from(head.body), head.keep_alive), (framing, !close));
    same(&message.fields, EndToEnd::of(head.fields).unwrap());

    write_request_head(&mut out, b"GET", b"/", &message.fields, framing, connection);
    let head = RequestParser::new(limits).parse(&mut out).unwrap().unwrap();
    assert!(out.is_empty(), "a head behind the head");
    assert_eq!((Framing::from(head.body), head.keep_alive), (framing, !close));
    same(&message.fields, EndToEnd::of(head.fields).unwrap());
}

fn behind_chunks(trailers: &Fields) {
    if trailers.is_empty() {
        return;
    }
    let mut out = BytesMut::new();
    chunk::write_last(&mut out, Some(trailers));
    let limits = Limits { trailer_bytes: 2 * limits::MAX_HEAD_BYTES, ..Limits::default() };
    let read = BodyReader::new(BodyLength::Chunked, &limits).read(&mut out, usize::MAX);
    let Ok(Read::End(Some(read))) = read else { panic!("trailers that cannot be read: {read:?}") };
    assert!(out.is_empty(), "a message behind the trailers");
    assert!(trimmed(&read).eq(trimmed(trailers)), "other trailers");
}

fn sound(fields: &Fields) {
    for Header { name, value } in fields {
        assert!(is_token(name) && !name.iter().any(u8::is_ascii_uppercase), "the name {name:?}");
        assert!(is_field_value(value), "the value {value:?}");
    }
}

/// White space around a value is no part of it (RFC 9110, section 5.5). A field of the reserved name `close` (section 18.4) is
/// lost where `connection` says that word.
fn same(sent: &Fields, read: EndToEnd) {
    let close = |(name, _): &(&[u8], &[u8])| *name != b"close";
    let (found, expected) = (trimmed(&read.fields).filter(close), trimmed(sent).filter(close));
    assert!(found.eq(expected), "{sent:?} was read as {:?}", read.fields);
}

fn trimmed(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|field| (&field.name[..], field.value.trim_ascii()))
}
