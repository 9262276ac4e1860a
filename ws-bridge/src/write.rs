use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf as _;
use futures_core::Stream;
use proto::{
    Frame,
    codec::{Batch, Pieces, delimited_len},
    limits,
};
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::{
    duplex::{Answered, Writing},
    header::{Opcode, Side},
};

/// Pieces that one system call writes.
const SLICES: usize = 32;

/// Writes frames for as long as there are any, then says farewell. All frames that are ready share one message as far
/// as they fit, and messages share a write.
pub(crate) async fn run<S, F, O>(
    outbound: &mut O,
    writing: &Writing<S>,
    side: Side,
    farewell: impl FnOnce(&O) -> CloseFrame,
) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
    F: Frame,
    O: Stream<Item = F> + Unpin,
{
    let mut writer = Writer { writing, side, batch: side.batch(), message: Message::default() };
    loop {
        let gathered = poll_fn(|cx| writer.poll_gather(outbound, cx)).await;
        writer.write().await?;
        match gathered {
            Gathered::Some => {}
            Gathered::Closed => return Ok(()),
            Gathered::End => break,
        }
    }
    let CloseFrame { code, reason } = farewell(outbound);
    let payload = [&u16::from(code).to_be_bytes(), reason.as_bytes()].concat();
    side.write(&mut writer.batch, Opcode::Close, payload.len(), |batch| batch.push_slice(&payload));
    writer.write().await
}

struct Writer<'a, S, F> {
    writing: &'a Writing<S>,
    side: Side,
    batch: Batch,
    message: Message<F>,
}

/// What is in the batch.
enum Gathered {
    Some,
    /// What is left before the connection is closed, as the peer wants.
    Closed,
    /// What is left before we say farewell.
    End,
}

impl<S: AsyncWrite + Unpin, F: Frame> Writer<'_, S, F> {
    /// Waits until there is something to write, and takes all that is ready without waiting.
    fn poll_gather(
        &mut self,
        outbound: &mut (impl Stream<Item = F> + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Gathered> {
        if self.writing.take_answers(&mut self.batch, cx) == Answered::Close {
            return Poll::Ready(Gathered::Closed);
        }
        while !self.batch.is_full() {
            let filled = self.message.poll_fill(outbound, cx);
            self.message.write(&mut self.batch, self.side);
            match filled {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) => return Poll::Ready(Gathered::End),
                Poll::Pending if self.batch.is_empty() => {
                    self.batch.release();
                    return Poll::Pending;
                }
                Poll::Pending => break,
            }
        }
        Poll::Ready(Gathered::Some)
    }

    async fn write(&mut self) -> io::Result<()> {
        let mut pieces = self.batch.take();
        poll_fn(|cx| self.poll_write(&mut pieces, cx)).await
    }

    fn poll_write(&self, pieces: &mut Pieces, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = pieces.chunks_vectored(&mut slices);
            match ready!(self.writing.poll_write(&slices[..filled], cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => pieces.advance(written),
            }
        }
        self.writing.poll_flush(cx)
    }
}

/// The frames of the next message.
struct Message<F> {
    /// Each with its length.
    frames: Vec<(F, usize)>,
    len: usize,
    /// The first frame of the message after it.
    next: Option<(F, usize)>,
}

impl<F> Default for Message<F> {
    fn default() -> Self {
        Self { frames: Vec::new(), len: 0, next: None }
    }
}

impl<F: Frame> Message<F> {
    /// Takes frames until the message is full (ready), none is left at the moment (pending), or they have ended
    /// (`None`). A frame that is too large for any message goes alone.
    fn poll_fill(
        &mut self,
        outbound: &mut (impl Stream<Item = F> + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Option<()>> {
        loop {
            let (frame, len) = match self.next.take() {
                Some(next) => next,
                None => match ready!(Pin::new(&mut *outbound).poll_next(cx)) {
                    Some(frame) => {
                        let len = frame.encoded_len();
                        (frame, len)
                    }
                    None => return Poll::Ready(None),
                },
            };
            let space = delimited_len(len);
            if self.len > 0 && self.len + space > limits::WS_PACK {
                self.next = Some((frame, len));
                return Poll::Ready(Some(()));
            }
            self.len += space;
            self.frames.push((frame, len));
        }
    }

    fn write(&mut self, batch: &mut Batch, side: Side) {
        let len = std::mem::take(&mut self.len);
        if len > 0 {
            side.write(batch, Opcode::Binary, len, |batch| {
                self.frames.drain(..).for_each(|(frame, len)| batch.push_delimited(&frame, len));
            });
        }
    }
}
