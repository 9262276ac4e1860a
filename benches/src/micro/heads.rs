//! HTTP/1.1 from bytes and to bytes.

use std::hint::black_box;

use bytes::BytesMut;
use http1::{
    Asked, BodyLength, BodyReader, BodyWriter, Connection, Framing, Limits, Read, RequestParser,
    ResponseParser, Version, write_request_head, write_response_head,
};

use super::{
    messages::{self, BROWSER_REQUEST, RESPONSE, SMALL_REQUEST},
    operation::{Doing, Operation},
};

/// What a connection reads at a time.
const BUFFER: usize = 64 * 1024;
/// Data of each chunk of a chunked body, of which there are [`CHUNKS`].
const CHUNK: usize = 4 * 1024;
const CHUNKS: usize = 16;

pub(super) const OPERATIONS: [Operation; 7] = [
    Operation::new("http1/parse-small-request", || parse_request(SMALL_REQUEST)),
    Operation::new("http1/parse-browser-request", || parse_request(BROWSER_REQUEST)),
    Operation::new("http1/parse-response", parse_response),
    Operation::new("http1/write-browser-request", write_request),
    Operation::new("http1/write-response", write_response),
    Operation::large("http1/read-chunked-64-kib", read_chunked),
    Operation::new("http1/write-chunked-64-kib", write_chunked),
];

fn parse_request(head: &'static [u8]) -> Doing {
    let mut parser = RequestParser::new(Limits::default());
    let mut buffer = BytesMut::with_capacity(BUFFER);
    Box::new(move || {
        buffer.extend_from_slice(head);
        let head = parser.parse(&mut buffer).expect("the head is valid");
        assert!(black_box(head).is_some());
    })
}

fn parse_response() -> Doing {
    let mut parser = ResponseParser::new(Limits::default());
    let mut buffer = BytesMut::with_capacity(BUFFER);
    Box::new(move || {
        buffer.extend_from_slice(RESPONSE);
        let head = parser.parse(&mut buffer, Asked::default()).expect("the head is valid");
        assert!(black_box(head).is_some());
    })
}

fn write_request() -> Doing {
    let fields = messages::browser_fields();
    let mut out = BytesMut::with_capacity(BUFFER);
    Box::new(move || {
        out.clear();
        let target = b"/assets/index-B1x9.js?v=3";
        write_request_head(&mut out, b"GET", target, &fields, Framing::None, Connection::KeepAlive);
        black_box(&out);
    })
}

fn write_response() -> Doing {
    let mut buffer = BytesMut::from(RESPONSE);
    let head = ResponseParser::new(Limits::default()).parse(&mut buffer, Asked::default());
    let fields = head.expect("the head is valid").expect("the head is whole").fields;
    let mut out = BytesMut::with_capacity(BUFFER);
    Box::new(move || {
        out.clear();
        let (framing, connection) = (Framing::Length(16), Connection::KeepAlive);
        write_response_head(&mut out, Version::H11, 200, None, &fields, framing, connection);
        black_box(&out);
    })
}

fn read_chunked() -> Doing {
    let mut body = Vec::new();
    for _ in 0..CHUNKS {
        body.extend_from_slice(format!("{CHUNK:x}\r\n").as_bytes());
        body.resize(body.len() + CHUNK, b'x');
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    Box::new(move || {
        let mut buffer = BytesMut::from(&body[..]);
        let mut reader = BodyReader::new(BodyLength::Chunked, &Limits::default());
        while let Read::Data(data) = reader.read(&mut buffer, CHUNK).expect("the body is valid") {
            black_box(data);
        }
        assert!(reader.is_end());
    })
}

fn write_chunked() -> Doing {
    let mut out = BytesMut::with_capacity(BUFFER);
    Box::new(move || {
        out.clear();
        let mut writer = BodyWriter::new(BodyLength::Chunked);
        for _ in 0..CHUNKS {
            let behind = writer.data(&mut out, black_box(CHUNK)).expect("a chunked body may have any length");
            out.extend_from_slice(behind);
        }
        writer.end(&mut out, None).expect("a chunked body may end anywhere");
        black_box(&out);
    })
}
