//! HTTP/1.1 from strangers: however it is cut, and whoever reads it again, it is the same messages.

use bytes::{Bytes, BytesMut};
use http1::{
    Asked, BodyLength, BodyReader, BodyWriter, Connection, Framing, Limits, Read, RequestHead, RequestParser,
    ResponseParser, Version, write_request_head, write_response_head,
};
use proto::Fields;

use crate::input::{Input, pieces};

#[path = "../../../http1/tests/other_reader/mod.rs"]
mod other_reader;

pub(super) const WORDS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /a HTTP/1.1\r\nhost: a\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0",
    b"content-length: 5\r\n",
    b"transfer-encoding: chunked\r\n",
    b"Transfer-Encoding",
    b"connection: close, upgrade\r\n",
    b"expect: 100-continue\r\n",
    b"upgrade: websocket\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b";a=\"b\"",
    b"ffffffffffffffff",
    b"\r\n ",
    b"\n",
];

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let cuts = input.bytes(8);
    let text = input.rest();
    match choice % 4 {
        0 | 1 => requests(text, cuts),
        2 => response(text, cuts, Asked { head: choice & 4 != 0, upgrade: choice & 8 != 0 }),
        _ => chunks(text, cuts),
    }
}

#[derive(Debug, PartialEq)]
struct Request {
    head: RequestHead,
    data: Vec<u8>,
    trailers: Option<Fields>,
    /// All of it, as it stood there.
    text: Vec<u8>,
}

fn requests(text: &[u8], cuts: &[u8]) {
    let (messages, refused) = read([Bytes::copy_from_slice(text)]);
    let (by_pieces, refused_by_pieces) = read(pieces(text, cuts));
    assert!(messages == by_pieces && refused == refused_by_pieces, "cuts make a difference");
    for message in &messages {
        one_reading(message);
        let mut out = BytesMut::new();
        write(message, &mut out);
        let (again, refused) = read([out.freeze()]);
        assert!(!refused && again.len() == 1, "one message was passed on as {}", again.len());
        let again = &again[0];
        assert_eq!((&again.head.method, &again.head.target), (&message.head.method, &message.head.target));
        assert_eq!(passed_on(&again.head.fields), passed_on(&message.head.fields));
        assert_eq!((again.head.body, &again.data), (message.head.body, &message.data));
        assert_eq!(again.trailers, message.trailers);
    }
}

/// Whether something was refused is the second half.
fn read(pieces: impl IntoIterator<Item = Bytes>) -> (Vec<Request>, bool) {
    let mut parser = RequestParser::new(Limits::default());
    let (mut buffer, mut messages, mut all) = (BytesMut::new(), Vec::new(), BytesMut::new());
    let mut current: Option<(BodyReader, Request)> = None;
    for piece in pieces {
        buffer.extend_from_slice(&piece);
        all.extend_from_slice(&piece);
        loop {
            let Some((reader, message)) = &mut current else {
                match parser.parse(&mut buffer) {
                    Ok(None) => break,
                    Err(_) => return (messages, true),
                    Ok(Some(head)) => {
                        let reader = BodyReader::new(head.body, &Limits::default());
                        let message = Request { head, data: Vec::new(), trailers: None, text: Vec::new() };
                        current = Some((reader, message));
                    }
                }
                continue;
            };
            match reader.read(&mut buffer, 7) {
                Ok(Read::NeedInput) => break,
                Ok(Read::Data(data)) => message.data.extend_from_slice(&data),
                Err(_) => return (messages, true),
                Ok(Read::End(trailers)) => {
                    message.trailers = trailers;
                    message.text = all.split_to(all.len() - buffer.len()).to_vec();
                    messages.extend(current.take().map(|(_, message)| message));
                }
            }
        }
    }
    (messages, false)
}

/// No reader that forgives more sees another end of the message than we do.
fn one_reading(message: &Request) {
    let head_end = message.text.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let (mut length, mut coding) = (false, false);
    for line in message.text[..head_end].split(|byte| matches!(byte, b'\r' | b'\n')).skip(1) {
        let name: Vec<u8> = line.split(|byte| *byte == b':').next().unwrap().to_ascii_lowercase();
        let letters: Vec<u8> =
            name.into_iter().filter(|byte| byte.is_ascii_lowercase() || *byte == b'-').collect();
        length |= letters == b"content-length";
        coding |= letters == b"transfer-encoding";
    }
    // A name that only looks alike is somebody's own field, if it is a token.
    let looks =
        |name: &str| message.head.fields.iter().any(|field| field.name != name && alike(&field.name, name));
    if looks("content-length") || looks("transfer-encoding") {
        return;
    }
    match message.head.body {
        BodyLength::Chunked => assert!(coding && !length, "chunked, for us alone"),
        BodyLength::Exactly(_) => assert!(length && !coding, "a length, for us alone"),
        BodyLength::Empty => assert!(!length && !coding, "no body, for us alone"),
        BodyLength::UntilClose => panic!("a request without an end"),
    }
    let mut slots = [httparse::EMPTY_HEADER; 100];
    let mut theirs = httparse::Request::new(&mut slots);
    let text = message.text.trim_ascii_start();
    assert!(matches!(theirs.parse(text), Ok(httparse::Status::Complete(_))), "httparse refuses it");
    assert_eq!(theirs.headers.len(), message.head.fields.len());
}

fn alike(name: &[u8], word: &str) -> bool {
    name.iter().filter(|byte| byte.is_ascii_lowercase() || **byte == b'-').eq(word.as_bytes())
}

fn write(message: &Request, out: &mut BytesMut) {
    let Request { head, data, trailers, .. } = message;
    write_request_head(
        out,
        &head.method,
        &head.target,
        &head.fields,
        head.body.into(),
        Connection::KeepAlive,
    );
    let mut writer = BodyWriter::new(head.body);
    let behind = writer.data(out, data.len()).unwrap();
    out.extend_from_slice(data);
    out.extend_from_slice(behind);
    writer.end(out, trailers.as_ref()).unwrap();
}

fn passed_on(fields: &Fields) -> Fields {
    let mut fields = fields.clone();
    fields.retain(|field| {
        !matches!(&field.name[..], b"content-length" | b"transfer-encoding" | b"connection" | b"upgrade")
    });
    fields
}

fn response(text: &[u8], cuts: &[u8], asked: Asked) {
    let mut buffer = BytesMut::from(text);
    let parsed = ResponseParser::new(Limits::default()).parse(&mut buffer, asked);
    let mut parser = ResponseParser::new(Limits::default());
    let mut by_pieces = BytesMut::new();
    let mut found = Ok(None);
    for piece in pieces(text, cuts) {
        by_pieces.extend_from_slice(&piece);
        if let Ok(None) = found {
            found = parser.parse(&mut by_pieces, asked);
        }
    }
    assert_eq!(parsed.is_err(), found.is_err(), "cuts make a difference");
    let (Ok(Some(head)), Ok(Some(other))) = (parsed, found) else { return };
    assert!(head == other && buffer == by_pieces, "cuts make a difference");
    assert!(head.status != 101 || asked.upgrade, "a switch that was not asked for");
    if head.is_switching() {
        return;
    }
    let framing = match head.body {
        BodyLength::Empty => head.content_length.map_or(Framing::None, Framing::Length),
        length => length.into(),
    };
    let mut out = BytesMut::new();
    write_response_head(
        &mut out,
        Version::H11,
        head.status,
        Some(&head.reason),
        &head.fields,
        framing,
        Connection::KeepAlive,
    );
    let again = ResponseParser::new(Limits::default()).parse(&mut out, asked).unwrap().unwrap();
    assert!(out.is_empty(), "a response behind the response");
    assert_eq!((again.status, again.body, &again.reason), (head.status, head.body, &head.reason));
    assert_eq!(passed_on(&again.fields), passed_on(&head.fields));
}

/// A chunked body, against another reader of sizes.
fn chunks(text: &[u8], cuts: &[u8]) {
    let (data, rest) = dechunked([Bytes::copy_from_slice(text)]);
    let (by_pieces, rest_by_pieces) = dechunked(pieces(text, cuts));
    assert!(data == by_pieces && (data.is_none() || rest == rest_by_pieces), "cuts make a difference");
    if let Some(data) = data {
        assert_eq!(Some(data), other_reader::dechunked(text), "two readings of one body");
    }
}

fn dechunked(pieces: impl IntoIterator<Item = Bytes>) -> (Option<Vec<u8>>, BytesMut) {
    let mut reader = BodyReader::new(BodyLength::Chunked, &Limits::default());
    let (mut buffer, mut data) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(&piece);
        while !reader.is_end() {
            match reader.read(&mut buffer, usize::MAX) {
                Ok(Read::Data(bytes)) => data.extend_from_slice(&bytes),
                Ok(Read::End(_)) => {}
                Ok(Read::NeedInput) => break,
                Err(_) => return (None, BytesMut::new()),
            }
        }
    }
    (reader.is_end().then_some(data), buffer)
}
