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

/// Answers that may wait for a peer which reads nothing, in bytes. The next ones wait in tungstenite, and once its buffer
/// is full only the newest of those.
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
        if !self.shaken || buf.is_empty() {
            return Pin::new(&mut *self.shared.socket()).poll_write(cx, buf);
        }
        let mut answers = self.shared.answers();
        // tungstenite offers its whole buffer, which may hold more answers than there is room for: a frame is never cut.
        let buf = whole_frames(buf, MAX_ANSWERS - answers.frames.len());
        if buf.is_empty() {
            register(&mut answers.reader, cx);
            return Poll::Pending;
        }
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

/// As many of these control frames as have room.
fn whole_frames(frames: &[u8], room: usize) -> &[u8] {
    let mut taken = 0;
    while let Some(length) = frames.get(taken..).and_then(frame_length) {
        if taken + length > room {
            break;
        }
        taken += length;
    }
    &frames[..taken.min(frames.len())]
}

/// The length of the first of these control frames, which are never longer than 125 bytes.
fn frame_length(frames: &[u8]) -> Option<usize> {
    let second = frames.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    Some(2 + mask + usize::from(second & 0x7f))
}

/// Whether the last of these control frames closes the connection.
fn ends_with_close(mut frames: &[u8]) -> bool {
    let mut last = 0;
    while let Some(length) = frame_length(frames) {
        last = frames[0] & 0x0f;
        frames = frames.get(length..).unwrap_or_default();
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

    #[test]
    fn more_answers_than_there_is_room_for_are_taken_frame_by_frame() {
        let pong = [0x8a, 2, 1, 2];
        let masked_pong = [0x8a, 0x82, 9, 9, 9, 9, 8, 8];
        let answers = [&pong[..], &masked_pong, &pong].concat();
        for (room, taken) in [(0, 0), (3, 0), (4, 4), (11, 4), (12, 12), (15, 12), (16, 16), (100, 16)] {
            assert_eq!(whole_frames(&answers, room).len(), taken, "{room}");
        }
        assert!(whole_frames(&[], 10).is_empty());
    }
}
