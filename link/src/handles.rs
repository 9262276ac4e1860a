use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use proto::{Fields, Frame, Header, tunnel_close::Reason};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use uuid::Uuid;

use crate::{
    Abort, CloseReason, InFlight, OpenError, Opening, Outbound, Settings,
    clock::now,
    sync::{
        Mutex, MutexGuard,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

/// One link: its table of exchanges behind one lock, held for a few lines and never across an await. Cheap to clone.
pub struct Link<F: Frame, H> {
    shared: Arc<Shared<F, H>>,
}

pub(crate) struct Shared<F, H> {
    table: Mutex<InFlight<F, H>>,
    closed: CancellationToken,
    /// The same as `closed`, for those who ask for every request: the token takes a lock.
    is_closed: AtomicBool,
}

impl<F: Frame, H> Shared<F, H> {
    pub(crate) fn table(&self) -> MutexGuard<'_, InFlight<F, H>> {
        // A panic while the lock was held is a bug that one exchange pays for, not the whole link.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn close(&self, reason: CloseReason) {
        self.table().close(reason);
        self.is_closed.store(true, Release);
        self.closed.cancel();
    }
}

impl<F: Frame, H> Link<F, H> {
    /// A link and the stream of frames that its transport shall carry away.
    pub fn new(settings: Settings) -> (Self, Outbound<F, H>) {
        let table = Mutex::new(InFlight::new(settings, now()));
        let shared =
            Arc::new(Shared { table, closed: CancellationToken::new(), is_closed: AtomicBool::new(false) });
        (Self { shared: Arc::clone(&shared) }, Outbound::new(shared))
    }

    /// The table, locked. Hold it for one event.
    pub fn table(&self) -> MutexGuard<'_, InFlight<F, H>> {
        self.shared.table()
    }

    /// Closes the link: every exchange ends, control frames that are queued still leave. Only the first reason counts.
    pub fn close(&self, reason: CloseReason) {
        self.shared.close(reason);
    }

    /// Completes once the link is closed, by either end.
    ///
    /// # Cancel safety
    /// Safe: nothing is lost when it is dropped.
    pub fn closed(&self) -> WaitForCancellationFuture<'_> {
        self.shared.closed.cancelled()
    }

    /// Whether the link is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Acquire)
    }

    /// Completes once no exchange is in progress.
    ///
    /// # Cancel safety
    /// Safe. Only one task at a time may wait.
    pub async fn drained(&self) {
        poll_fn(|cx| if self.table().poll_drained(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Opens an exchange, see [`InFlight::open`].
    ///
    /// # Errors
    /// [`OpenError`]; nothing has happened then.
    pub fn open(
        &self,
        id: Uuid,
        opening: Opening,
        head: impl FnOnce(u32) -> F,
    ) -> Result<Opened<F, H>, OpenError> {
        self.table().open(id, opening, now(), head)?;
        let sender = (!opening.end).then(|| Sender { half: self.half(id) });
        Ok(Opened { sender, receiver: Receiver { half: self.half(id) } })
    }

    /// Takes up an exchange that the peer opened, see [`InFlight::take_up`].
    ///
    /// # Errors
    /// [`OpenError`]; the caller refuses the exchange towards the peer.
    pub fn take_up(&self, id: Uuid, body: Bytes, end: bool, credit: u32) -> Result<TakenUp<F, H>, OpenError> {
        self.table().take_up(id, body, end, credit, now())?;
        Ok(TakenUp { sender: Sender { half: self.half(id) }, receiver: Receiver { half: self.half(id) } })
    }

    fn half(&self, id: Uuid) -> Half<F, H> {
        Half { shared: Arc::clone(&self.shared), id }
    }
}

impl<F: Frame, H> Clone for Link<F, H> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<F: Frame, H> fmt::Debug for Link<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table().fmt(f)
    }
}

/// An exchange that we opened.
#[derive(Debug)]
pub struct Opened<F: Frame, H> {
    /// Our half, if more of it follows its head.
    pub sender: Option<Sender<F, H>>,
    /// The peer's half.
    pub receiver: Receiver<F, H>,
}

/// An exchange that the peer opened.
#[derive(Debug)]
pub struct TakenUp<F: Frame, H> {
    /// Our half, from its head on.
    pub sender: Sender<F, H>,
    /// The peer's half.
    pub receiver: Receiver<F, H>,
}

struct Half<F, H> {
    shared: Arc<Shared<F, H>>,
    id: Uuid,
}

/// Our half of an exchange. Dropped before [`Sender::finish`], it cancels the exchange: the peer must not take a cut body
/// for a whole one.
pub struct Sender<F: Frame, H> {
    half: Half<F, H>,
}

impl<F: Frame, H> Sender<F, H> {
    /// Sends our head on an exchange that the peer opened, see [`InFlight::send_head`].
    pub fn send_head(&mut self, head: F, inline: usize, end: bool) {
        self.half.shared.table().send_head(self.half.id, head, inline, end, now());
    }

    /// Sends an interim response before our head, see [`InFlight::send_interim`].
    pub fn send_interim(&mut self, head: F) {
        self.half.shared.table().send_interim(self.half.id, head, now());
    }

    /// Queues a chunk, as fast as the peer's credit and the link allow.
    ///
    /// # Errors
    /// The [`Abort`] that ended the exchange, or [`Abort::Stopped`] when the peer wants no more.
    ///
    /// # Cancel safety
    /// Not safe: a part of the chunk may have been queued. Drop the sender as well.
    pub async fn send(&mut self, mut chunk: Bytes) -> Result<(), Abort> {
        poll_fn(|cx| self.poll_send(&mut chunk, cx)).await
    }

    /// Queues what of a chunk there is room for and takes it off its front; ready once it is empty.
    ///
    /// # Errors
    /// See [`Sender::send`].
    pub fn poll_send(&mut self, chunk: &mut Bytes, cx: &mut Context<'_>) -> Poll<Result<(), Abort>> {
        self.half.shared.table().poll_send(self.half.id, chunk, cx)
    }

    /// Completes once there is no use in sending more.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stopped(&mut self) -> Abort {
        poll_fn(|cx| self.poll_stopped(cx)).await
    }

    /// Ready once there is no use in sending more, with the reason.
    pub fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<Abort> {
        self.half.shared.table().poll_stopped(self.half.id, cx)
    }

    /// Ends our half cleanly, behind what is queued.
    pub fn finish(self, trailers: Vec<Header>) {
        self.half.shared.table().finish(self.half.id, trailers);
    }

    /// Ends the exchange in both directions. `message` is for the peer's log.
    pub fn abort(self, reason: Reason, message: &str) {
        self.half.shared.table().abort(self.half.id, reason, message);
    }
}

impl<F: Frame, H> Drop for Sender<F, H> {
    fn drop(&mut self) {
        self.half.shared.table().on_writer_gone(self.half.id);
    }
}

impl<F: Frame, H> fmt::Debug for Sender<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.half.id).finish()
    }
}

/// The peer's half of an exchange. Dropped before its end, it cancels the exchange (gateway) or asks the peer to stop
/// (agent), see [`crate::ReaderGone`].
pub struct Receiver<F: Frame, H> {
    half: Half<F, H>,
}

impl<F: Frame, H> Receiver<F, H> {
    /// The id of the exchange.
    pub fn id(&self) -> Uuid {
        self.half.id
    }

    /// Waits for the peer's next head: any number of interim ones, then the final one.
    ///
    /// # Errors
    /// The [`Abort`] that ended the exchange.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn head(&mut self) -> Result<H, Abort> {
        poll_fn(|cx| self.poll_head(cx)).await
    }

    /// Takes the peer's next head, see [`Receiver::head`].
    ///
    /// # Errors
    /// The [`Abort`] that ended the exchange.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<H, Abort>> {
        self.half.shared.table().poll_head(self.half.id, cx)
    }

    /// Takes the next chunk; `None` at the clean end.
    ///
    /// # Errors
    /// The [`Abort`] that ended the exchange.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Abort>>> {
        self.half.shared.table().poll_chunk(self.half.id, now(), cx)
    }

    /// Whether the peer's half ended cleanly and everything in it was taken.
    pub fn is_read(&self) -> bool {
        self.half.shared.table().is_read(self.half.id)
    }

    /// Whether the peer's half ended cleanly and nothing of it is left to take, trailers neither.
    pub fn is_over(&self) -> bool {
        self.half.shared.table().is_over(self.half.id)
    }

    /// The trailers that ended the peer's half, once.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.half.shared.table().take_trailers(self.half.id)
    }

    /// Ends the exchange in both directions. `message` is for the peer's log.
    pub fn abort(&mut self, reason: Reason, message: &str) {
        self.half.shared.table().abort(self.half.id, reason, message);
    }
}

impl<F: Frame, H> Drop for Receiver<F, H> {
    fn drop(&mut self) {
        self.half.shared.table().on_reader_gone(self.half.id);
    }
}

impl<F: Frame, H> fmt::Debug for Receiver<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.half.id).finish()
    }
}
