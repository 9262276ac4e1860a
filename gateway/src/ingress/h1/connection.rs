use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, BytesMut};
use http1::{HeadError, Limits, Output, RequestHead, RequestParser};
use proto::limits;
use tokio::{
    io::{AsyncWrite as _, AsyncWriteExt as _},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tokio_util::{
    io::{poll_read_buf, poll_write_buf},
    sync::WaitForCancellationFutureOwned,
};

use super::{Broken, Patience};
use crate::{
    pause::Pause,
    socket::{self, LOOK_INTERVAL, Socket},
};

/// Room for a head, which is small as a rule.
const HEAD_ROOM: usize = 4 * 1024;
/// Room for the pieces of a body.
const BODY_ROOM: usize = 64 * 1024;
/// What a client may send ahead of the answer to an earlier request.
const AHEAD: usize = 64 * 1024;
/// What is read and thrown away at most, for the sake of an answer on its way.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// One client's connection: what was read and not yet used, what was not yet written.
pub(super) struct Connection {
    socket: Socket,
    parser: RequestParser,
    input: BytesMut,
    output: Output,
    patience: Patience,
    /// Made when it is first needed, and never set anew while it can only fire too early: see [`Connection::poll_due`].
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether a request was served.
    served: bool,
    pause: Pause,
    rested: Pin<Box<WaitForCancellationFutureOwned>>,
    look: Option<Pin<Box<Sleep>>>,
    /// When a client that takes nothing has had its time.
    stalled: Option<Instant>,
}

impl Connection {
    pub(super) fn new(socket: Socket, input: BytesMut, patience: Patience, pause: Pause) -> Self {
        Self {
            socket,
            parser: RequestParser::new(Limits {
                target_bytes: limits::MAX_HEAD_BYTES - 2,
                ..Limits::default()
            }),
            input,
            output: Output::default(),
            patience,
            timer: None,
            served: false,
            rested: Box::pin(pause.until_rest()),
            pause,
            look: None,
            stalled: None,
        }
    }

    pub(super) fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    pub(super) fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether the connection shall end with the response in progress. A request that has come behind it is answered too.
    pub(super) fn is_pausing(&self) -> bool {
        self.input.is_empty() && self.is_leaving()
    }

    /// Whether the connection shall end soon.
    pub(super) fn is_leaving(&self) -> bool {
        self.pause.is_after_answers()
    }

    /// Waits for the next request. `None` if there will be none: the client left between two requests, or waited too long
    /// with the next one, or the connection may not rest.
    ///
    /// # Errors
    /// [`Broken`] if the client left in the middle of a head or the connection failed.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn next_head(&mut self) -> Result<Option<Result<RequestHead, HeadError>>, Broken> {
        let mut begun = None;
        poll_fn(|cx| {
            loop {
                match self.parser.parse(&mut self.input) {
                    Ok(None) => {}
                    Ok(Some(head)) => {
                        self.served = true;
                        return Poll::Ready(Ok(Some(Ok(head))));
                    }
                    Err(error) => return Poll::Ready(Ok(Some(Err(error)))),
                }
                match self.poll_read(cx, HEAD_ROOM)? {
                    Poll::Ready(0) if self.input.is_empty() => return Poll::Ready(Ok(None)),
                    Poll::Ready(0) => return Poll::Ready(Err(Broken::ClientLeft)),
                    Poll::Ready(_) => continue,
                    Poll::Pending => {}
                }
                return self.poll_wait(cx, &mut begun);
            }
        })
        .await
    }

    /// Between two reads for a head: patience is limited, and a connection that rests may be ended.
    fn poll_wait(
        &mut self,
        cx: &mut Context<'_>,
        begun: &mut Option<(bool, Instant)>,
    ) -> Poll<Result<Option<Result<RequestHead, HeadError>>, Broken>> {
        let rests = self.input.is_empty();
        let patience = match (rests, self.served) {
            // Its client was not told that the last answer was the last, and may be about to ask.
            (true, _) if self.rested.as_mut().poll(cx).is_ready() => self.patience.rest,
            (true, true) => self.patience.keep_alive,
            _ => self.patience.head,
        };
        let begun = match begun {
            Some((rested, begun)) if *rested == rests => *begun,
            _ => begun.insert((rests, Instant::now())).1,
        };
        ready!(self.poll_due(cx, begun + patience));
        // A client that is slow with a head is told nothing: it would be taken for the answer to what it sends at last.
        Poll::Ready(Ok(None))
    }

    /// Ready once `due` has passed. The timer is only moved when it must be: moving it costs more than letting it fire
    /// early.
    fn poll_due(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }

    /// Reads more of a body. Ready with 0 at the end of what the client sends.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_read(cx, BODY_ROOM)
    }

    /// Ready once the client has left. What it sends ahead meanwhile is kept, up to a bound.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.input.len() < AHEAD {
            match ready!(self.poll_read(cx, HEAD_ROOM)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        self.poll_left_unread(cx)
    }

    /// As [`Connection::poll_left`], without reading: the client's bytes must wait.
    pub(super) fn poll_left_unread(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let look = self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK_INTERVAL)));
            ready!(look.as_mut().poll(cx));
            if socket::has_left(&self.socket) {
                return Poll::Ready(());
            }
            look.as_mut().reset(Instant::now() + LOOK_INTERVAL);
        }
    }

    /// The client's bytes need not wait any longer.
    pub(super) fn stop_looking(&mut self) {
        self.look = None;
    }

    /// Writes what waits.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.output.has_remaining() {
            match poll_write_buf(Pin::new(&mut self.socket), cx, &mut self.output)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(_) => self.stalled = None,
                Poll::Pending => return self.poll_stall(cx),
            }
        }
        // TLS may hold the last of what it took.
        match Pin::new(&mut self.socket).poll_flush(cx)? {
            Poll::Ready(()) => {
                self.stalled = None;
                Poll::Ready(Ok(()))
            }
            Poll::Pending => self.poll_stall(cx),
        }
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(patience) = self.patience.write else { return Poll::Pending };
        let due = *self.stalled.get_or_insert_with(|| Instant::now() + patience);
        ready!(self.poll_due(cx, due));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Has the client see an error instead of an end.
    pub(super) fn reset_on_drop(&self) {
        socket::reset_on_drop(&self.socket);
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Ends our direction.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    /// Closes a connection of which all was read. Behind TLS the end is announced, or it would look like somebody's cut.
    pub(super) async fn close(mut self, patience: Duration) {
        if socket::is_tls(&self.socket) {
            // A client that takes nothing need not know.
            let _ = timeout(patience, self.socket.shutdown()).await;
        }
    }

    /// Closes the connection without destroying an answer on its way: reads on for a moment (RFC 9112, section 9.6).
    pub(super) async fn linger(mut self, patience: Duration) {
        if self.socket.shutdown().await.is_err() {
            return;
        }
        let mut rest = LINGER_BYTES;
        let drained = poll_fn(|cx| {
            loop {
                self.input.clear();
                match ready!(self.poll_read(cx, HEAD_ROOM)) {
                    Ok(read @ 1..) if read < rest => rest -= read,
                    _ => return Poll::Ready(()),
                }
            }
        });
        let _ = timeout(patience, drained).await;
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        if self.input.capacity() - self.input.len() < room / 4 {
            self.input.reserve(room);
        }
        poll_read_buf(Pin::new(&mut self.socket), cx, &mut self.input)
    }
}
