//! The layer without a network, for fuzz targets: bytes to frames, frames to bytes, in memory and without waiting.

use std::{
    collections::VecDeque,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{FutureExt as _, stream};
use link::LinkError;
use proto::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode},
};

use crate::{
    config, duplex,
    fragments::{Guarded, MAX_CONTINUATIONS},
    header, read, write,
};

/// Whose bytes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The agent's, masked.
    Client,
    /// The gateway's.
    Server,
}

/// The frames in what arrives piece by piece behind a handshake, and why there are no more of them, if not because the
/// peer took its leave.
pub fn read<F: Frame>(from: From, pieces: impl IntoIterator<Item = Bytes>) -> (Vec<F>, Option<LinkError>) {
    let socket = Memory { input: pieces.into_iter().collect(), ..Memory::default() };
    let (mut reading, _writing) = duplex::split(socket);
    reading.shaken();
    let config = Some(config::websocket(32 * 1024));
    match from {
        From::Client => match Guarded::new(reading, &[], MAX_CONTINUATIONS) {
            Ok(reading) => {
                all(WebSocketStream::from_partially_read(reading, Vec::new(), Role::Server, config)
                    .now_or_never())
            }
            Err(error) => (Vec::new(), Some(LinkError::Violation(error.to_string()))),
        },
        From::Server => all(WebSocketStream::from_raw_socket(reading, Role::Client, config).now_or_never()),
    }
}

fn all<S, F>(messages: Option<WebSocketStream<S>>) -> (Vec<F>, Option<LinkError>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Frame,
{
    let mut frames = pin!(read::Frames::new(messages.expect("nothing is read yet")));
    let mut cx = Context::from_waker(Waker::noop());
    let mut found = Vec::new();
    loop {
        match frames.as_mut().poll_next(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => found.push(frame),
            Poll::Ready(Some(Err(error))) => return (found, Some(error)),
            Poll::Ready(None) => return (found, None),
            Poll::Pending => {} // others would have their turn
        }
    }
}

/// What is written of `frames` and a farewell to a socket that takes at most `at_once` bytes at a time.
pub fn write<F: Frame>(from: From, frames: Vec<F>, at_once: usize) -> Vec<u8> {
    let output = Arc::<Mutex<Vec<u8>>>::default();
    let socket = Memory { input: VecDeque::new(), output: Arc::clone(&output), at_once };
    let (_reading, writing) = duplex::split(socket);
    let side = match from {
        From::Client => header::Side::Client,
        From::Server => header::Side::Server,
    };
    let farewell = |_: &_| CloseFrame { code: CloseCode::Away, reason: "".into() };
    let written = write::run(&mut stream::iter(frames), &writing, side, farewell).now_or_never();
    written.expect("memory never waits").expect("memory never fails");
    std::mem::take(&mut *output.lock().unwrap_or_else(PoisonError::into_inner))
}

#[derive(Debug, Default)]
struct Memory {
    input: VecDeque<Bytes>,
    output: Arc<Mutex<Vec<u8>>>,
    at_once: usize,
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.input.front().is_some_and(Bytes::is_empty) {
            self.input.pop_front(); // to read nothing is the end
        }
        if let Some(piece) = self.input.front_mut() {
            buf.put_slice(&piece.split_to(piece.len().min(buf.remaining())));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.at_once.max(1));
        self.output.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
