use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, ReadHalf},
    net::tcp::OwnedReadHalf,
};

use super::{
    Message, Request,
    head::{self, Fields, Head},
};
use crate::Secure;

/// What the other end of a [`super::Wire`] sends.
#[derive(Debug)]
pub struct Reader {
    stream: Source,
    buffer: BytesMut,
}

#[derive(Debug)]
pub(super) enum Source {
    Plain(OwnedReadHalf),
    Tls(ReadHalf<Secure>),
}

/// One part of a chunked body.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes.
    Data(Vec<u8>),
    /// The clean end, with trailers.
    Last(Fields),
}

/// The connection ended in the middle of a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Truncated {
    /// How much of its body had come.
    pub received: usize,
}

impl Reader {
    pub(super) fn new(stream: Source) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    pub(super) fn into_inner(self) -> Source {
        self.stream
    }

    /// Reads a head.
    ///
    /// # Panics
    /// If the connection ends instead.
    pub async fn head(&mut self) -> Head {
        self.try_head().await.expect("a head, not the end of the connection")
    }

    /// Reads a head; `None` if the connection ends instead.
    pub async fn try_head(&mut self) -> Option<Head> {
        let end = self.find(b"\r\n\r\n").await?;
        Some(Head::parse(&self.buffer.split_to(end)))
    }

    /// Reads a whole response to `request`.
    ///
    /// # Panics
    /// If it is not whole.
    pub async fn response(&mut self, request: &Request) -> Message {
        let head = self.head().await;
        if request.method == "HEAD" || matches!(head.status(), 204 | 304) {
            return Message { head, body: Vec::new(), trailers: Vec::new() };
        }
        self.whole(head).await
    }

    /// Reads a whole request.
    ///
    /// # Panics
    /// If it is not whole.
    pub async fn request(&mut self) -> Message {
        let head = self.head().await;
        if head.content_length().is_none() && !head.is_chunked() {
            return Message { head, body: Vec::new(), trailers: Vec::new() };
        }
        self.whole(head).await
    }

    async fn whole(&mut self, head: Head) -> Message {
        match self.body(&head).await {
            Ok((body, trailers)) => Message { head, body, trailers },
            Err(truncated) => panic!("{truncated:?} behind {head:?}"),
        }
    }

    /// Reads the body behind `head`, and its trailers.
    ///
    /// # Errors
    /// [`Truncated`] if the connection ends before the body does. A body without any framing has no end of its own and
    /// is always truncated.
    pub async fn body(&mut self, head: &Head) -> Result<(Vec<u8>, Fields), Truncated> {
        if head.is_chunked() {
            return self.chunks().await;
        }
        let length = head.content_length().unwrap_or(usize::MAX);
        while self.buffer.len() < length {
            if !self.more().await {
                return Err(Truncated { received: self.buffer.len() });
            }
        }
        Ok((self.buffer.split_to(length).to_vec(), Vec::new()))
    }

    async fn chunks(&mut self) -> Result<(Vec<u8>, Fields), Truncated> {
        let mut body = Vec::new();
        loop {
            match self.chunk().await {
                Some(Chunk::Data(data)) => body.extend_from_slice(&data),
                Some(Chunk::Last(trailers)) => return Ok((body, trailers)),
                None => return Err(Truncated { received: body.len() }),
            }
        }
    }

    /// Reads the next part of a chunked body; `None` if the connection ends instead.
    pub async fn chunk(&mut self) -> Option<Chunk> {
        let line = self.find(b"\r\n").await?;
        let size = std::str::from_utf8(&self.buffer[..line - 2]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        self.buffer.advance(line);
        if size > 0 {
            let data = self.exactly(size).await?;
            self.exactly(2).await?;
            return Some(Chunk::Data(data));
        }
        let mut lines = Vec::new();
        loop {
            let end = self.find(b"\r\n").await?;
            let line = self.buffer.split_to(end);
            lines.push(line.trim_ascii_end().to_vec());
            if end == 2 {
                return Some(Chunk::Last(head::fields(lines.iter().map(Vec::as_slice))));
            }
        }
    }

    /// Reads exactly `length` bytes; `None` if the connection ends before.
    pub async fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.more().await {
                return None;
            }
        }
        Some(self.buffer.split_to(length).to_vec())
    }

    /// Reads to the end of the connection, however it ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        self.buffer.split().to_vec()
    }

    /// Reads until `pattern`, and returns where it ends.
    async fn find(&mut self, pattern: &[u8]) -> Option<usize> {
        loop {
            if let Some(start) = self.buffer.windows(pattern.len()).position(|window| window == pattern) {
                return Some(start + pattern.len());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads to the end of the connection.
    ///
    /// # Errors
    /// If it breaks instead. Behind TLS an end that nobody announced is a break.
    pub async fn end(&mut self) -> io::Result<Vec<u8>> {
        while self.read().await? > 0 {}
        Ok(self.buffer.split().to_vec())
    }

    /// Reads something; `false` once there will be nothing more.
    async fn more(&mut self) -> bool {
        self.read().await.is_ok_and(|read| read > 0)
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.buffer.reserve(64 * 1024);
        match &mut self.stream {
            Source::Plain(stream) => stream.read_buf(&mut self.buffer).await,
            Source::Tls(stream) => stream.read_buf(&mut self.buffer).await,
        }
    }
}
