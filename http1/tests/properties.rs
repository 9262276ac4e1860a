//! What holds for all messages, and for everything else that a peer may send.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic like the test itself")]

use bytes::{Bytes, BytesMut};
use http1::{
    Asked, BodyError, BodyLength, BodyReader, BodyWriter, Connection, Framing, HeadError, Limits, Read,
    RequestHead, RequestParser, ResponseParser, Version, write_request_head, write_response_head,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use proto::Fields;

mod other_reader;

const GET: Asked = Asked { head: false, upgrade: false };

/// A request with a body, as a peer means it.
#[derive(Clone, Debug)]
struct Message {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    None,
    Whole(Vec<u8>),
    Chunks(Vec<Vec<u8>>, Vec<(String, Vec<u8>)>),
}

impl Body {
    fn length(&self) -> BodyLength {
        match self {
            Self::None => BodyLength::Empty,
            Self::Whole(data) => BodyLength::Exactly(data.len() as u64),
            Self::Chunks(..) => BodyLength::Chunked,
        }
    }

    fn pieces(&self) -> Vec<&[u8]> {
        match self {
            Self::None => vec![],
            Self::Whole(data) => vec![data],
            Self::Chunks(chunks, _) => chunks.iter().map(Vec::as_slice).collect(),
        }
    }

    fn trailers(&self) -> Option<Fields> {
        match self {
            Self::Chunks(_, trailers) if !trailers.is_empty() => Some(to_fields(trailers)),
            _ => None,
        }
    }

    fn write(&self, out: &mut BytesMut) {
        let mut writer = BodyWriter::new(self.length());
        for piece in self.pieces() {
            let behind = writer.data(out, piece.len()).unwrap();
            out.extend_from_slice(piece);
            out.extend_from_slice(behind);
        }
        writer.end(out, self.trailers().as_ref()).unwrap();
    }
}

impl Message {
    fn write(&self, out: &mut BytesMut) {
        let (method, target) = (self.method.as_bytes(), self.target.as_bytes());
        let framing = Framing::from(self.body.length());
        write_request_head(out, method, target, &to_fields(&self.fields), framing, Connection::KeepAlive);
        self.body.write(out);
    }

    fn assert_is(&self, read: &Received) {
        assert_eq!(
            (&read.head.method[..], &read.head.target[..]),
            (self.method.as_bytes(), self.target.as_bytes())
        );
        let mut fields = read.head.fields.clone();
        fields.retain(|field| !matches!(&field.name[..], b"content-length" | b"transfer-encoding"));
        assert_eq!(fields, to_fields(&self.fields));
        assert_eq!(read.head.body, self.body.length());
        assert_eq!(read.data, self.body.pieces().concat());
        assert_eq!(read.trailers, self.body.trailers());
    }
}

fn to_fields(lines: &[(String, Vec<u8>)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.push(name.clone(), value.clone());
    }
    fields
}

/// A request as it was read.
#[derive(Debug, PartialEq)]
struct Received {
    head: RequestHead,
    data: Vec<u8>,
    trailers: Option<Fields>,
}

#[derive(Debug, PartialEq)]
enum Refusal {
    Head(HeadError),
    Body(BodyError),
}

/// Reads a stream of requests that arrives in pieces, up to the first thing that is wrong.
#[derive(Default)]
struct Server {
    buffer: BytesMut,
    messages: Vec<Received>,
    current: Option<(BodyReader, RequestHead, Vec<u8>)>,
}

impl Server {
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Received>, Option<Refusal>) {
        let mut server = Self::default();
        let mut parser = RequestParser::new(Limits::default());
        for piece in pieces {
            server.buffer.extend_from_slice(piece);
            if let Err(refusal) = server.on_bytes(&mut parser) {
                return (server.messages, Some(refusal));
            }
        }
        (server.messages, None)
    }

    fn on_bytes(&mut self, parser: &mut RequestParser) -> Result<(), Refusal> {
        loop {
            let Some((reader, _, data)) = &mut self.current else {
                let Some(head) = parser.parse(&mut self.buffer).map_err(Refusal::Head)? else {
                    return Ok(());
                };
                self.current = Some((BodyReader::new(head.body, &Limits::default()), head, Vec::new()));
                continue;
            };
            match reader.read(&mut self.buffer, 100).map_err(Refusal::Body)? {
                Read::NeedInput => return Ok(()),
                Read::Data(bytes) => data.extend_from_slice(&bytes),
                Read::End(trailers) => {
                    let (_, head, data) = self.current.take().unwrap();
                    self.messages.push(Received { head, data, trailers });
                }
            }
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    // None that means something on this hop.
    "x-[a-z0-9!#$%&'*+.^_`|~-]{0,12}"
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let inner = prop_oneof![4 => b' '..=b'~', 1 => 0x80..=0xffu8, 1 => Just(b'\t')];
    vec(inner, 0..30).prop_map(|value| value.trim_ascii().to_vec())
}

fn lines(max: usize) -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    vec((name(), value()), 0..max)
}

fn body() -> impl Strategy<Value = Body> {
    let data = || vec(any::<u8>(), 0..300);
    prop_oneof![
        Just(Body::None),
        data().prop_map(Body::Whole),
        (vec(data(), 0..4), lines(3)).prop_map(|(chunks, trailers)| Body::Chunks(chunks, trailers)),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    ("[A-Za-z!-]{1,10}", "/[!-~\u{e9}\u{4e2d}]{0,40}", lines(30), body())
        .prop_map(|(method, target, fields, body)| Message { method, target, fields, body })
}

/// Bytes that look like HTTP/1 and mostly are not.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&'static [u8]> = vec![
        b"GET",
        b" ",
        b" / ",
        b"HTTP/1.1",
        b"HTTP/1.0 ",
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b":",
        b"content-length: ",
        b"transfer-encoding: ",
        b"chunked",
        b"5",
        b"0\r\n\r\n",
        b";a=b",
        b"ffffffffffffffff",
        b"200 OK\r\n",
        b"HTTP/1.1 200\r\n",
        b"GET / HTTP/1.1\r\n",
        b"connection: upgrade\r\n",
        b", ",
        b"\t",
        b"\xff",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 1..4),
    ];
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

/// A text cut in pieces, some of them empty.
fn pieces<'a>(text: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect()
}

/// A head, with a byte of it replaced, left out or put in, as often as `edits` says.
fn mutated(mut text: Vec<u8>, edits: &[(Index, u8, u8)]) -> Vec<u8> {
    for (at, kind, byte) in edits {
        let at = at.index(text.len());
        match kind {
            0 => text[at] = *byte,
            1 => drop(text.remove(at)),
            _ => text.insert(at, *byte),
        }
        if text.is_empty() {
            break;
        }
    }
    text
}

fn interesting_byte() -> impl Strategy<Value = u8> {
    prop_oneof![proptest::sample::select(b"\r\n\0 \t:,\x7f\xff(".to_vec()), any::<u8>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_bytes_panic(text in almost(), cuts in vec(any::<Index>(), 0..6), length in 0..5u64, head: bool, upgrade: bool) {
        let pieces = pieces(&text, &cuts);
        Server::read(pieces.iter().copied());
        let mut parser = ResponseParser::new(Limits::default());
        let lengths = [BodyLength::Chunked, BodyLength::Exactly(length), BodyLength::UntilClose, BodyLength::Empty];
        let mut readers = lengths.map(|length| (BodyReader::new(length, &Limits::default()), BytesMut::new()));
        let mut buffer = BytesMut::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            // Asked again after an error, too.
            let _ = parser.parse(&mut buffer, Asked { head, upgrade });
            for (reader, buffer) in &mut readers {
                buffer.extend_from_slice(piece);
                while let Ok(Read::Data(data)) = reader.read(buffer, length as usize) {
                    prop_assert!((1..=length.max(1) as usize).contains(&data.len()));
                }
            }
        }
    }

    #[test]
    fn pieces_make_no_difference(messages in vec(message(), 1..4), cuts in vec(any::<Index>(), 0..20)) {
        let mut out = BytesMut::new();
        messages.iter().for_each(|message| message.write(&mut out));
        let whole = Server::read([&out[..]]);
        prop_assert_eq!(&Server::read(pieces(&out, &cuts)), &whole);
        prop_assert_eq!(&Server::read(out.chunks(1)), &whole);
    }

    #[test]
    fn pieces_make_no_difference_to_what_is_refused(text in almost(), cuts in vec(any::<Index>(), 0..6)) {
        let (messages, refusal) = Server::read([&text[..]]);
        let (in_pieces, other) = Server::read(pieces(&text, &cuts));
        prop_assert_eq!(messages, in_pieces);
        prop_assert_eq!(refusal.is_some(), other.is_some());
    }

    #[test]
    fn pipelined_requests_are_read_as_they_were_written(messages in vec(message(), 1..5)) {
        let mut out = BytesMut::new();
        messages.iter().for_each(|message| message.write(&mut out));
        let (read, refusal) = Server::read([&out[..]]);
        prop_assert_eq!(refusal, None);
        prop_assert_eq!(read.len(), messages.len());
        messages.iter().zip(&read).for_each(|(message, read)| message.assert_is(read));
    }

    #[test]
    fn response_heads_are_read_as_they_were_written(
        status in 102..=999u16, reason in value(), lines in lines(30), length in any::<Option<u64>>(), old: bool, close: bool,
        cuts in vec(any::<Index>(), 0..10),
    ) {
        let version = if old { Version::H10 } else { Version::H11 };
        let framing = length.map_or(Framing::None, Framing::Length);
        let connection = if close { Connection::Close } else { Connection::KeepAlive };
        let mut out = BytesMut::new();
        write_response_head(&mut out, version, status, Some(&reason), &to_fields(&lines), framing, connection);
        let (mut parser, mut buffer, mut heads) = (ResponseParser::new(Limits::default()), BytesMut::new(), vec![]);
        for piece in pieces(&out, &cuts) {
            buffer.extend_from_slice(piece);
            heads.extend(parser.parse(&mut buffer, GET).unwrap());
        }
        let [head] = &heads[..] else { panic!("{} heads", heads.len()) };
        prop_assert_eq!((head.version, head.status, &head.reason[..]), (Version::H11, status, &reason[..]));
        prop_assert_eq!(head.content_length, length);
        prop_assert_eq!(head.keep_alive, !close && head.body != BodyLength::UntilClose);
        let mut fields = head.fields.clone();
        fields.retain(|field| !matches!(&field.name[..], b"content-length" | b"connection"));
        prop_assert_eq!(fields, to_fields(&lines));
    }

    /// And what both accept, both understand alike.
    #[test]
    fn what_httparse_refuses_is_refused(
        message in message(), edits in vec((any::<Index>(), 0..3u8, interesting_byte()), 1..4),
    ) {
        let head = Message { body: Body::None, ..message };
        let mut out = BytesMut::new();
        head.write(&mut out);
        let text = mutated(out.to_vec(), &edits);
        let ours = RequestParser::new(Limits::default()).parse(&mut BytesMut::from(&text[..]));
        let mut slots = [httparse::EMPTY_HEADER; 100];
        let mut theirs = httparse::Request::new(&mut slots);
        match (ours, theirs.parse(&text)) {
            (Ok(Some(head)), Ok(httparse::Status::Complete(_))) => {
                prop_assert_eq!(&head.method[..], theirs.method.unwrap().as_bytes());
                prop_assert_eq!(&head.target[..], theirs.path.unwrap().as_bytes());
                let lower = |name: &str| Bytes::from(name.to_ascii_lowercase());
                let fields: Vec<_> = theirs.headers.iter().map(|field| (lower(field.name), field.value)).collect();
                let read: Vec<_> = head.fields.iter().map(|field| (field.name.clone(), &field.value[..])).collect();
                prop_assert_eq!(read, fields);
            }
            (Ok(Some(_)), other) => prop_assert!(false, "httparse says {:?}", other),
            (Ok(None) | Err(_), _) => {}
        }
    }

    /// However a chunked body is spoiled, what is read of it is what httparse's reading of the sizes gives, or nothing.
    #[test]
    fn a_spoiled_chunked_body_is_refused_or_read_alike(
        chunks in vec(vec(any::<u8>(), 1..20), 1..4), edits in vec((any::<Index>(), 0..3u8, interesting_byte()), 1..3),
    ) {
        let mut out = BytesMut::new();
        Body::Chunks(chunks, vec![]).write(&mut out);
        let text = mutated(out.to_vec(), &edits);
        let mut reader = BodyReader::new(BodyLength::Chunked, &Limits::default());
        let (mut buffer, mut data) = (BytesMut::from(&text[..]), Vec::new());
        loop {
            match reader.read(&mut buffer, usize::MAX) {
                Ok(Read::Data(bytes)) => data.extend_from_slice(&bytes),
                Ok(Read::End(_)) => break,
                Ok(Read::NeedInput) | Err(_) => return Ok(()),
            }
        }
        prop_assert_eq!(Some(data), other_reader::dechunked(&text));
    }
}
