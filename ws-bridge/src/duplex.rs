//! One connection, read by tungstenite and written by this crate.
//!
//! tungstenite copies each message into a buffer of its own before it writes it. So data frames are written past it, by
//! [`crate::write`]; what it has to say itself, answers to pings and close frames, goes through a queue to the same
//! writer, which puts it between whole frames.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use proto::codec::Batch;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Answers that may wait for a peer which reads nothing, in bytes. The next ones wait in tungstenite, which keeps only
/// the newest.
const MAX_ANSWERS: usize = 4 * 1024;
/// The opcode of a close frame (RFC 6455, section 5.2).
const CLOSE: u8 = 0x8;

/// The two ends of `socket` on this side.
pub(crate) fn split<S>(socket: S) -> (Reading<S>, Writing<S>) {
    let shared = Arc::new(Shared { socket: Mutex::new(socket), answers: Mutex::default() });
    (Reading { shared: Arc::clone(&shared), shaken: false }, Writing { shared })
}

/// What tungstenite is given as its connection.
#[derive(Debug)]
pub(crate) struct Reading<S> {
    shared: Arc<Shared<S>>,
    /// Whether the handshake is over. What is written until then goes straight to the socket.
    shaken: bool,
}

/// What frames are written to.
#[derive(Debug)]
pub(crate) struct Writing<S> {
    shared: Arc<Shared<S>>,
}

#[derive(Debug)]
struct Shared<S> {
    socket: Mutex<S>,
    answers: Mutex<Answers>,
}

/// Whole control frames of tungstenite's.
#[derive(Debug, Default)]
struct Answers {
    frames: Vec<u8>,
    /// Whether the last of them closes the connection.
    close: bool,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl<S> Shared<S> {
    fn socket(&self) -> MutexGuard<'_, S> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Reading<S> {
    /// Has everything from here on queued for the writer.
    pub(crate) fn shaken(&mut self) {
        self.shaken = true;
    }
}

/// What there was in the queue of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Nothing; the task is woken when there is.
    Nothing,
    /// Answers, which are in the batch now.
    Some,
    /// The same, and the last one closes the connection: nothing may follow it.
    Close,
}

impl<S: AsyncWrite + Unpin> Writing<S> {
    /// Takes the answers that wait.
    pub(crate) fn take_answers(&self, batch: &mut Batch, cx: &Context<'_>) -> Answered {
        let mut answers = self.shared.answers();
        if answers.frames.is_empty() {
            register(&mut answers.writer, cx);
            return Answered::Nothing;
        }
        batch.push_slice(&std::mem::take(&mut answers.frames));
        if let Some(reader) = answers.reader.take() {
            reader.wake();
        }
        if answers.close { Answered::Close } else { Answered::Some }
    }

    pub(crate) fn poll_write(&self, slices: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.shared.socket()).poll_write_vectored(cx, slices)
    }

    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.shared.socket()).poll_flush(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Reading<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.shared.socket()).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reading<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.shaken {
            return Pin::new(&mut *self.shared.socket()).poll_write(cx, buf);
        }
        let mut answers = self.shared.answers();
        if answers.frames.len() + buf.len() > MAX_ANSWERS {
            register(&mut answers.reader, cx);
            return Poll::Pending;
        }
        // tungstenite offers its whole buffer, and it is all taken: a frame is never cut.
        answers.frames.extend_from_slice(buf);
        answers.close |= ends_with_close(buf);
        if let Some(writer) = answers.writer.take() {
            writer.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shaken { Poll::Ready(Ok(())) } else { Pin::new(&mut *self.shared.socket()).poll_flush(cx) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the connection ends with its owner
    }
}

/// Whether the last of these control frames, which are never longer than 125 bytes, closes the connection.
fn ends_with_close(mut frames: &[u8]) -> bool {
    let mut last = 0;
    while let [first, second, rest @ ..] = frames {
        last = first & 0x0f;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        frames = rest.get(usize::from(second & 0x7f) + mask..).unwrap_or_default();
    }
    last == CLOSE
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_frame_is_found_behind_other_answers() {
        let pong = [0x8a, 2, 1, 2];
        let masked_pong = [0x8a, 0x82, 9, 9, 9, 9, 8, 8];
        let close = [0x88, 2, 3, 232];
        assert!(!ends_with_close(&[]));
        assert!(!ends_with_close(&pong));
        assert!(ends_with_close(&close));
        assert!(ends_with_close(&[&pong[..], &masked_pong, &close].concat()));
        assert!(!ends_with_close(&[&masked_pong[..], &pong].concat()));
        assert!(ends_with_close(&[0x88, 0x80, 0, 0, 0, 0]));
    }
}
