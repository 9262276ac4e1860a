//! One virtual connection: frames go in at one end, become bytes, take their time, and come out as frames at the other.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use futures_core::Stream;
use futures_util::StreamExt as _;
use link::LinkError;
use proto::{
    Frame,
    codec::{Batch, Messages, unpack},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{dice::Dice, summary::Summary, trace::Trace};

/// Bytes that may be on their way in one direction: what sockets hold.
const CAPACITY: usize = 256 * 1024;
/// For how long a system sends again what nobody acknowledges, before it gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Whose end, and which direction: from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Agent,
    Gateway,
}

/// How frames stand in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Messages,
    Delimited,
}

/// A connection between an agent and a gateway, and what can happen to it.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) number: usize,
    packing: Packing,
    latency: Duration,
    trace: Arc<Trace>,
    state: Mutex<State>,
    /// Cancelled where the connection is known to be broken, by end.
    broken: [CancellationToken; 2],
    /// The agent dropped its end.
    left: CancellationToken,
}

#[derive(Debug)]
struct State {
    held_until: Instant,
    /// Whether what is sent from an end is lost.
    swallows: [bool; 2],
    bytes_per_second: Option<u64>,
}

/// What travels together.
enum Parcel {
    Bytes { arrives: Instant, bytes: Bytes, _room: OwnedSemaphorePermit },
    Fin { arrives: Instant },
}

impl Wire {
    pub(crate) fn new(number: usize, packing: Packing, latency: Duration, trace: Arc<Trace>) -> Arc<Self> {
        let state = State { held_until: Instant::now(), swallows: [false; 2], bytes_per_second: None };
        Arc::new(Self {
            number,
            packing,
            latency,
            trace,
            state: Mutex::new(state),
            broken: [CancellationToken::new(), CancellationToken::new()],
            left: CancellationToken::new(),
        })
    }

    /// Both ends see an error, and what was on its way is lost.
    pub(crate) fn cut(&self) {
        self.broken.iter().for_each(CancellationToken::cancel);
    }

    /// Nothing arrives for some time, and then all of it.
    pub(crate) fn hold(&self, time: Duration) {
        let mut state = self.state();
        state.held_until = state.held_until.max(Instant::now() + time);
    }

    /// What is sent from an end from now on is lost, and nobody is told.
    pub(crate) fn swallow(&self, from: End) {
        self.state().swallows[from as usize] = true;
    }

    /// So much fits through in a second.
    pub(crate) fn limit(&self, bytes_per_second: Option<u64>) {
        self.state().bytes_per_second = bytes_per_second;
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.iter().all(CancellationToken::is_cancelled)
    }

    /// Both directions: carries what the ends send, on tasks of its own, and gives what each receives.
    pub(crate) fn connect<A: Frame, G: Frame>(
        self: &Arc<Self>,
        from_agent: impl Stream<Item = A> + Send + 'static,
        dice: &mut Dice,
        accept: impl FnOnce(Inbox<A>) -> Pin<Box<dyn Stream<Item = G> + Send>>,
    ) -> Inbox<G> {
        let (up, arriving) = mpsc::unbounded_channel();
        tokio::spawn(Arc::clone(self).carry(End::Agent, Box::pin(from_agent), up, dice.fork()));
        let from_gateway = accept(Arc::clone(self).inbox(End::Gateway, arriving));
        let (down, arriving) = mpsc::unbounded_channel();
        tokio::spawn(Arc::clone(self).carry(End::Gateway, from_gateway, down, dice.fork()));
        Arc::clone(self).inbox(End::Agent, arriving)
    }

    async fn carry<F: Frame>(
        self: Arc<Self>,
        from: End,
        mut frames: Pin<Box<dyn Stream<Item = F> + Send>>,
        parcels: mpsc::UnboundedSender<Parcel>,
        mut dice: Dice,
    ) {
        let capacity = Arc::new(Semaphore::new(CAPACITY));
        let mut unacknowledged = Vec::new();
        let mut last = Instant::now();
        loop {
            let ready = tokio::select! {
                biased;
                () = self.broken[from as usize].cancelled() => return,
                () = self.left.cancelled(), if from == End::Agent => None,
                frame = frames.next() => frame,
            };
            let Some(frame) = ready else { break };
            let bytes = self.pack(from, frame, &mut frames);
            let length = u32::try_from(bytes.len().min(CAPACITY)).unwrap_or(u32::MAX);
            let room = tokio::select! {
                biased;
                () = self.broken[from as usize].cancelled() => return,
                room = Arc::clone(&capacity).acquire_many_owned(length) => room,
            };
            let Ok(room) = room else { return };
            if self.state().swallows[from as usize] {
                if unacknowledged.is_empty() {
                    tokio::spawn(Arc::clone(&self).give_up(from));
                }
                unacknowledged.push(room);
                continue;
            }
            last = self.arrival(bytes.len(), last, &mut dice);
            let _ = parcels.send(Parcel::Bytes { arrives: last, bytes, _room: room });
        }
        self.trace.note(format_args!("wire {}: {from:?} ends", self.number));
        if self.state().swallows[from as usize] {
            return self.give_up(from).await;
        }
        last = self.arrival(0, last, &mut dice);
        let _ = parcels.send(Parcel::Fin { arrives: last });
    }

    /// A frame and those that are ready behind it, as bytes.
    fn pack<F: Frame>(&self, from: End, first: F, frames: &mut (impl Stream<Item = F> + Unpin)) -> Bytes {
        let mut batch = Batch::contiguous();
        let mut next = Some(first);
        while let Some(frame) = next {
            self.trace.note(format_args!("wire {}: {from:?} sends {}", self.number, Summary(&frame)));
            match self.packing {
                Packing::Messages => batch.push_message(&frame),
                Packing::Delimited => batch.push_delimited(&frame, frame.encoded_len()),
            }
            next = if batch.is_full() {
                None
            } else {
                futures_util::FutureExt::now_or_never(frames.next()).flatten()
            };
        }
        let mut pieces = batch.take();
        pieces.copy_to_bytes(pieces.remaining())
    }

    /// When so many bytes arrive, behind those that arrive at `last`.
    fn arrival(&self, bytes: usize, last: Instant, dice: &mut Dice) -> Instant {
        let jitter = self.latency.mul_f64(dice.within(0..100) as f64 / 400.0);
        let earliest = (Instant::now() + self.latency + jitter).max(last);
        let transfer =
            self.state().bytes_per_second.map(|rate| Duration::from_secs_f64(bytes as f64 / rate as f64));
        earliest + transfer.unwrap_or_default()
    }

    /// The system at an end stops sending again.
    async fn give_up(self: Arc<Self>, end: End) {
        let broken = &self.broken[end as usize];
        tokio::select! {
            biased;
            () = broken.cancelled() => return,
            () = tokio::time::sleep(UNACKNOWLEDGED) => {}
        }
        self.trace.note(format_args!("wire {}: given up at the {end:?}'s end", self.number));
        broken.cancel();
    }

    fn inbox<F: Frame>(self: Arc<Self>, end: End, parcels: mpsc::UnboundedReceiver<Parcel>) -> Inbox<F> {
        let left = (end == End::Agent).then(|| self.left.clone().drop_guard());
        let reader = Reader {
            wire: self,
            end,
            parcels,
            frames: VecDeque::new(),
            messages: Messages::default(),
            over: false,
            _left: left,
        };
        Box::pin(futures_util::stream::unfold(reader, async |mut reader| {
            let item = reader.next().await?;
            Some((item, reader))
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What arrives at an end.
pub(crate) type Inbox<F> = Pin<Box<dyn Stream<Item = Result<F, LinkError>> + Send>>;

struct Reader<F> {
    wire: Arc<Wire>,
    end: End,
    parcels: mpsc::UnboundedReceiver<Parcel>,
    frames: VecDeque<F>,
    messages: Messages<F>,
    over: bool,
    _left: Option<tokio_util::sync::DropGuard>,
}

impl<F: Frame> Reader<F> {
    async fn next(&mut self) -> Option<Result<F, LinkError>> {
        loop {
            if self.over {
                return None;
            }
            let broken = self.wire.broken[self.end as usize].clone();
            if !broken.is_cancelled()
                && let Some(frame) = self.frames.pop_front()
            {
                return Some(Ok(frame));
            }
            let arrived = tokio::select! {
                biased;
                () = broken.cancelled() => {
                    self.over = true;
                    return Some(Err(LinkError::Broken("connection reset".to_owned())));
                }
                arrived = Self::arrived(&self.wire, &mut self.parcels) => arrived,
            };
            let Some(bytes) = arrived else {
                self.over = true;
                return None;
            };
            if let Err(error) = self.unpack(bytes) {
                self.over = true;
                return Some(Err(error));
            }
        }
    }

    /// The next bytes once they are there; `None` at the end.
    async fn arrived(wire: &Wire, parcels: &mut mpsc::UnboundedReceiver<Parcel>) -> Option<Bytes> {
        // Without a FIN the other end is silent, not gone.
        let Some(parcel) = parcels.recv().await else { std::future::pending().await };
        let (arrives, bytes) = match parcel {
            Parcel::Bytes { arrives, bytes, .. } => (arrives, Some(bytes)),
            Parcel::Fin { arrives } => (arrives, None),
        };
        loop {
            let due = arrives.max(wire.state().held_until);
            if due <= Instant::now() {
                return bytes;
            }
            sleep_until(due).await;
        }
    }

    fn unpack(&mut self, mut bytes: Bytes) -> Result<(), LinkError> {
        match self.wire.packing {
            Packing::Delimited => {
                while let Some(frame) = unpack(&mut bytes)? {
                    self.frames.push_back(frame);
                }
            }
            Packing::Messages => {
                // Cut somewhere, as TCP does.
                let half = bytes.len() / 2;
                for part in [bytes.slice(..half), bytes.slice(half..)] {
                    self.messages.push(part);
                    while let Some(frame) = self.messages.pop()? {
                        self.frames.push_back(frame);
                    }
                }
            }
        }
        Ok(())
    }
}

impl Packing {
    /// The label of the transport that packs like this.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Messages => "grpc",
            Self::Delimited => "ws",
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wire {}", self.number)
    }
}
