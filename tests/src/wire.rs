//! HTTP/1.1 by hand (RFC 9112): nothing is sent that a scenario did not ask for, and how a connection ends is seen.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncWriteExt as _, WriteHalf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::Secure;
use reader::Source;

pub mod h2;
mod head;
mod reader;
mod request;

pub use head::{Fields, Head};
pub use reader::{Chunk, Reader, Truncated};
pub use request::Request;

/// A connection, from either end.
#[derive(Debug)]
pub struct Wire {
    /// What the other end sends.
    pub reader: Reader,
    /// What this end sends.
    pub writer: Writer,
}

/// What a [`Wire`] sends.
#[derive(Debug)]
pub struct Writer(Sink);

#[derive(Debug)]
enum Sink {
    Plain(OwnedWriteHalf),
    Tls(WriteHalf<Secure>),
}

/// A request or a response with all of its body.
#[derive(Debug)]
pub struct Message {
    /// Start line and fields.
    pub head: Head,
    /// The body, out of whatever framing it had.
    pub body: Vec<u8>,
    /// The fields behind a chunked body.
    pub trailers: Fields,
}

impl Wire {
    /// Connects to `addr`.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::new(TcpStream::connect(addr).await.unwrap())
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        let (reader, writer): (OwnedReadHalf, OwnedWriteHalf) = stream.into_split();
        Self { reader: Reader::new(Source::Plain(reader)), writer: Writer(Sink::Plain(writer)) }
    }

    /// Speaks over TLS.
    pub fn secure(stream: Secure) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self { reader: Reader::new(Source::Tls(reader)), writer: Writer(Sink::Tls(writer)) }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.writer.send(bytes).await;
    }

    /// Makes a request, reading the response while the request's body is sent.
    pub async fn ask(&mut self, request: &Request) -> Message {
        let bytes = request.bytes();
        let Self { reader, writer } = self;
        let (_, response) = tokio::join!(writer.try_send(&bytes), reader.response(request));
        response
    }

    /// Sends a request without waiting for its response.
    pub async fn begin(&mut self, request: &Request) {
        self.writer.send(request.bytes()).await;
    }

    /// Reads a whole request.
    pub async fn request(&mut self) -> Message {
        self.reader.request().await
    }

    /// Sends a response of 200 with `body`.
    pub async fn answer(&mut self, body: &str) {
        let length = body.len();
        self.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")).await;
    }

    /// Breaks the connection: the other end sees a reset instead of an end.
    pub fn reset(self) {
        let (Source::Plain(reader), Sink::Plain(writer)) = (self.reader.into_inner(), self.writer.0) else {
            panic!("only a connection without TLS can be reset");
        };
        reader.reunite(writer).unwrap().set_zero_linger().unwrap();
    }

    /// Waits until the other end has closed the connection, or broken it; what it still sends is thrown away.
    pub async fn closed(&mut self) {
        self.reader.rest().await;
    }
}

impl Writer {
    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If the connection is broken.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection is broken.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        match &mut self.0 {
            Sink::Plain(stream) => stream.write_all(bytes.as_ref()).await,
            Sink::Tls(stream) => {
                stream.write_all(bytes.as_ref()).await?;
                stream.flush().await
            }
        }
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        // The connection may be gone.
        let _ = match &mut self.0 {
            Sink::Plain(stream) => stream.shutdown().await,
            Sink::Tls(stream) => stream.shutdown().await,
        };
    }

    /// Sends one chunk of a chunked body.
    pub async fn chunk(&mut self, data: impl AsRef<[u8]>) {
        self.send(request::chunk(data.as_ref())).await;
    }

    /// Sends the end of a chunked body.
    pub async fn last_chunk(&mut self) {
        self.send(request::LAST_CHUNK).await;
    }
}
