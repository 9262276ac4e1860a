use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};
use proto::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::stream::Stream;

/// Room for a head with a small body. An idle connection holds no more than that.
const SMALL: usize = 8 * 1024;
/// Room for a chunk as large as a frame takes, and for a head before it.
const LARGE: usize = limits::MAX_CHUNK + 1024;
/// With less room than this a read would be too small to be worth a system call.
const LEAST: usize = 4 * 1024;

/// One connection to the local service that speaks HTTP/1.1, closed by dropping it.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    /// What was read and nobody has taken yet.
    pub(crate) input: BytesMut,
    /// How much to make room for. It adapts: a read that left no room is followed by larger ones.
    room: usize,
    /// Bytes read for the exchange in progress.
    received: usize,
    /// How reading failed. The system tells it only once, and would then report a clean end.
    failed: Option<io::ErrorKind>,
    /// Whether it served another exchange before.
    reused: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, input: BytesMut::new(), room: SMALL, received: 0, failed: None, reused: false }
    }

    /// Reads what is there behind [`Connection::input`]; 0 once the service has closed.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(kind) = self.failed {
            return Poll::Ready(Err(kind.into()));
        }
        let spare = self.make_room();
        let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input));
        match &read {
            Ok(count) => {
                self.received += count;
                if *count == spare {
                    self.room = LARGE;
                }
            }
            Err(error) => self.failed = Some(error.kind()),
        }
        Poll::Ready(read)
    }

    /// Writes some of `output`, in one system call.
    pub(crate) fn poll_write(
        &mut self,
        output: &mut impl Buf,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        if output.chunk().len() < output.remaining() {
            return poll_write_buf(stream, cx, output);
        }
        let count = ready!(stream.poll_write(cx, output.chunk()))?;
        output.advance(count);
        Poll::Ready(Ok(count))
    }

    /// Sees to it that all that was written leaves.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Tells the service that nothing more is written. It may go on to write.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Whether this failure is a connection's that had been idle: the service closed it and heard nothing, or nothing
    /// but a request that it may hear again.
    pub(crate) fn is_stale(&self) -> bool {
        self.reused && self.received == 0
    }

    /// Makes it ready for another exchange.
    pub(super) fn rest(&mut self) {
        // What was a bulk download is likely to be one again.
        self.room = if self.received > LARGE { LARGE } else { SMALL };
        if self.input.capacity() > SMALL {
            self.input = BytesMut::new();
        }
        (self.received, self.reused) = (0, true);
    }

    /// Whether the service has neither closed an idle connection nor spoken on it. Costs a system call only if it did.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let cx = &mut Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// A piece of a body that is used up slowly keeps alive what was read along with it. So a new buffer is begun only
    /// once the old one is nearly full, and small pieces share theirs.
    fn make_room(&mut self) -> usize {
        if self.input.capacity() - self.input.len() < LEAST {
            self.input.reserve(self.room);
        }
        self.input.capacity() - self.input.len()
    }
}
