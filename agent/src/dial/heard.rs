//! How the other side begins, which the libraries above do not tell.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where the type of the first frame is in HTTP/2 (RFC 9113, section 4.1), which is SETTINGS (section 3.4).
const TYPE: usize = 3;
const SETTINGS: u8 = 4;

/// A stream that remembers what came first on it.
#[derive(Debug)]
pub(super) struct Heard<S> {
    stream: S,
    first: First,
}

/// What came first, if anything came.
#[derive(Clone, Debug, Default)]
pub(super) struct First(Arc<OnceLock<bool>>);

impl First {
    /// Whether something came that is no HTTP/2.
    pub(super) fn is_foreign(&self) -> bool {
        self.0.get().is_some_and(|is_http2| !is_http2)
    }
}

impl<S> Heard<S> {
    /// The stream, and where it will be said what came first.
    pub(super) fn new(stream: S) -> (Self, First) {
        let first = First::default();
        (Self { stream, first: first.clone() }, first)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        let bytes = &buf.filled()[before..];
        if !bytes.is_empty() {
            // A frame that comes in less than four bytes is not blamed for that.
            let _ = self.first.0.set(bytes.get(TYPE).is_none_or(|kind| *kind == SETTINGS));
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    link::writes_go_to!(stream);
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn only_what_is_no_http2_is_foreign() {
        for (bytes, foreign) in [
            (&b""[..], false),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", false),
            (b"\x15\x03\x03\x00\x02\x02\x32", true),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", true),
        ] {
            let (mut stream, first) = Heard::new(bytes);
            stream.read_to_end(&mut Vec::new()).await.unwrap();
            assert_eq!(first.is_foreign(), foreign, "{}", bytes.escape_ascii());
        }
    }
}
