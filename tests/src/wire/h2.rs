//! HTTP/2 by hand (RFC 9113): frames as a scenario wants them, in whatever order and however wrong.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

pub mod frame;
pub mod hpack;

pub use frame::Frame;

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client's connection. What the server sends is always read, so that no attack fails for its own deafness.
#[derive(Debug)]
pub struct H2 {
    writer: OwnedWriteHalf,
    frames: mpsc::UnboundedReceiver<Frame>,
    _reader: AbortOnDropHandle<()>,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was answered with this status.
    Status(u16),
    /// It was reset with this error code.
    Reset(u32),
    /// The connection was ended with this error code.
    GoAway(u32),
    /// The connection was closed without a word.
    Closed,
}

impl H2 {
    /// Connects to `addr`, and says what every client says. The server is asked to index no fields.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::connect_with(addr, &[]).await
    }

    /// Connects to `addr` with settings of the scenario's choice.
    pub async fn connect_with(addr: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut h2 = Self::raw(addr).await;
        let settings = [&[(frame::HEADER_TABLE_SIZE, 0)], settings].concat();
        h2.send([PREFACE, &frame::settings(&settings)].concat()).await;
        h2
    }

    /// Connects to `addr` and says nothing.
    pub async fn raw(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reader, writer) = stream.into_split();
        let (heard, frames) = mpsc::unbounded_channel();
        Self { writer, frames, _reader: AbortOnDropHandle::new(tokio::spawn(read(reader, heard))) }
    }

    /// Sends bytes as they are. Returns whether the connection took them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.writer.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.writer.shutdown().await; // the connection may be gone
    }

    /// The next frame; `None` once the connection is over.
    pub async fn frame(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }

    /// Waits until something has become of a stream. Interim responses do not count.
    pub async fn fate(&mut self, stream: u32) -> Fate {
        while let Some(frame) = self.frame().await {
            match frame.kind {
                frame::HEADERS if frame.stream == stream => {
                    let status = hpack::status(&frame.payload);
                    if status >= 200 {
                        return Fate::Status(status);
                    }
                }
                frame::RST_STREAM if frame.stream == stream => return Fate::Reset(frame.code()),
                frame::GOAWAY if frame.code() != frame::NO_ERROR => return Fate::GoAway(frame.code()),
                _ => {}
            }
        }
        Fate::Closed
    }

    /// Waits for the end of a stream that was answered. Returns its body, or how it ended instead.
    pub async fn body(&mut self, stream: u32) -> Result<Vec<u8>, Fate> {
        let mut body = Vec::new();
        while let Some(frame) = self.frame().await {
            match frame.kind {
                frame::DATA | frame::HEADERS if frame.stream == stream => {
                    if frame.kind == frame::DATA {
                        body.extend_from_slice(&frame.payload);
                    }
                    if frame.ends_stream() {
                        return Ok(body);
                    }
                }
                frame::RST_STREAM if frame.stream == stream => return Err(Fate::Reset(frame.code())),
                frame::GOAWAY if frame.code() != frame::NO_ERROR => return Err(Fate::GoAway(frame.code())),
                _ => {}
            }
        }
        Err(Fate::Closed)
    }

    /// Waits until the server has closed the connection. Returns the error code of its farewell, if it gave one.
    pub async fn gone(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.frame().await {
            if frame.kind == frame::GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }

    /// Waits until the server has done with everything that was sent, by having a PING answered. Returns what came
    /// before; `None` if the connection ended instead.
    pub async fn settled(&mut self) -> Option<Vec<Frame>> {
        const MARK: [u8; 8] = *b"settled?";
        self.send(frame::ping(MARK)).await;
        let mut before = Vec::new();
        loop {
            let frame = self.frame().await?;
            if frame.kind == frame::PING && frame.flags & frame::ACK != 0 && frame.payload[..] == MARK {
                return Some(before);
            }
            before.push(frame);
        }
    }
}

async fn read(mut reader: OwnedReadHalf, heard: mpsc::UnboundedSender<Frame>) {
    let mut buffer = BytesMut::new();
    loop {
        while let Some(frame) = Frame::parse(&mut buffer) {
            let _ = heard.send(frame); // the scenario may be over
        }
        buffer.reserve(64 * 1024);
        if !matches!(reader.read_buf(&mut buffer).await, Ok(read) if read > 0) {
            return;
        }
    }
}

/// A GET as every client sends it, to `authority`.
pub fn get(stream: u32, authority: &str) -> Bytes {
    let fields = [(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", "/")];
    frame::headers(stream, frame::END_HEADERS | frame::END_STREAM, hpack::block(&fields))
}

/// The beginning of a POST, to `authority`.
pub fn post(stream: u32, authority: &str) -> Bytes {
    let fields = [(":method", "POST"), (":scheme", "http"), (":authority", authority), (":path", "/")];
    frame::headers(stream, frame::END_HEADERS, hpack::block(&fields))
}

/// The beginning of a gRPC call.
pub fn call(stream: u32, path: &str) -> Bytes {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "127.0.0.1"),
        (":path", path),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    frame::headers(stream, frame::END_HEADERS, hpack::block(&fields))
}
