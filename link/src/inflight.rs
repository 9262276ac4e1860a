use std::{
    collections::HashMap,
    fmt,
    hash::BuildHasherDefault,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::{
    Frame, TunnelClose, TunnelWindow, id_text, limits,
    tunnel_close::Reason,
    window::{RecvWindow, SendCredit},
};
use uuid::Uuid;

use crate::{
    Abort, Budget, CloseReason, TooManyViolations,
    budget::LinkBudget,
    exchange::{Exchange, Ours, Theirs, register, wake},
    id_hasher::IdHasher,
    lanes::Lanes,
    rtt::RoundTrip,
    strikes::Strikes,
    trust::{Doubt, Trust},
};

mod local;
mod outgoing;
mod peer;
#[cfg(test)]
mod tests;

/// What the two ends of a link agreed on, and what this end allows itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Exchanges in progress at a time.
    pub max_concurrent: usize,
    /// Credit in bytes that the peer grants each exchange from its first frame on.
    pub send_window: u32,
    /// Credit in bytes that we grant each exchange from its first frame on.
    pub recv_window: u32,
    /// What it means when the consumer of the peer's half leaves before its end.
    pub reader_gone: ReaderGone,
    /// From handing our half over to the peer's head; `None` waits for ever.
    pub response_timeout: Option<Duration>,
    /// How long an exchange may rest; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// Memory for bodies, shared with the other links of the process.
    pub budget: Budget,
}

/// What a consumer's leaving means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderGone {
    /// Nobody wants the answer any more: cancel the exchange (gateway).
    Cancel,
    /// The rest of the body is of no interest, the answer still is: ask the peer to stop (agent).
    StopSending,
}

/// What of a request its opening frame says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening {
    /// Length of the body inside the frame.
    pub inline: usize,
    /// Whether nothing follows.
    pub end: bool,
    /// Whether the peer must answer before more follows, as for `100-continue` and upgrades: then its time runs from
    /// this frame on and not from the last one.
    pub waits: bool,
    /// Whether the request may be sent again elsewhere although the peer may have seen it.
    pub repeatable: bool,
    /// The time that the peer has for its head, if it is less than [`Settings::response_timeout`].
    pub limit: Option<Duration>,
}

/// Why an exchange could not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The link is closed.
    #[error("the link is closed")]
    Closed,
    /// As many exchanges as agreed are in progress.
    #[error("too many exchanges are in progress")]
    Full,
    /// An exchange of this id exists.
    #[error("the id is in use")]
    Duplicate,
    /// The memory for bodies, of this link or of the process, is used up.
    #[error("too many body bytes are in progress")]
    Memory,
}

/// The exchanges in progress on one link, and what waits to leave on it.
///
/// `F` is the frame that this end sends, `H` the head that it receives. Every method is an event; none waits, reads a
/// clock or does I/O. A waker is the only thing that leaves besides frames.
pub struct InFlight<F, H> {
    settings: Settings,
    exchanges: HashMap<Uuid, Box<Exchange<F, H>>, BuildHasherDefault<IdHasher>>,
    active: usize,
    lanes: Lanes<F>,
    budget: LinkBudget,
    strikes: Strikes,
    rtt: RoundTrip,
    trust: Trust,
    closed: Option<CloseReason>,
    /// While set, nothing leaves.
    corked: bool,
    transport: Option<Waker>,
    drained: Option<Waker>,
}

impl<F: Frame, H> InFlight<F, H> {
    /// An empty table. `now` becomes the origin of the clock that PINGs carry.
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            exchanges: HashMap::default(),
            active: 0,
            lanes: Lanes::new(),
            budget: LinkBudget::new(settings.budget.clone()),
            strikes: Strikes::default(),
            rtt: RoundTrip::new(now),
            trust: Trust::new(now),
            closed: None,
            corked: false,
            transport: None,
            drained: None,
            settings,
        }
    }

    /// Applies what was agreed after the first frames.
    pub fn agree(&mut self, max_concurrent: usize, send_window: u32) {
        self.settings.max_concurrent = max_concurrent;
        self.settings.send_window = send_window;
    }

    /// Changes how long the peer's head may take, for exchanges to come.
    pub fn set_response_timeout(&mut self, response_timeout: Option<Duration>) {
        self.settings.response_timeout = response_timeout;
    }

    /// Exchanges in progress on the wire.
    pub fn active(&self) -> usize {
        self.active
    }

    /// Why the link is closed, once it is.
    pub fn close_reason(&self) -> Option<&CloseReason> {
        self.closed.as_ref()
    }

    /// Longest body that may travel inside a head.
    pub fn inline_limit(&self) -> usize {
        limits::MAX_CHUNK.min(self.settings.send_window as usize)
    }

    /// The smallest round trip of the last minute.
    pub fn min_rtt(&self) -> Option<Duration> {
        self.rtt.min()
    }

    /// Queues a frame that belongs to no exchange.
    pub fn push_control(&mut self, frame: impl Into<F>) {
        self.lanes.push_control(frame.into());
        wake(&mut self.transport);
    }

    /// Keeps everything back that is queued from now on, so that the link can be made known to others while the order
    /// of its first frames is still certain.
    pub fn cork(&mut self) {
        self.corked = true;
    }

    /// Lets go what [`InFlight::cork`] kept back.
    pub fn uncork(&mut self) {
        self.corked = false;
        wake(&mut self.transport);
    }

    /// Queues a PING.
    pub fn ping(&mut self, now: Instant) {
        let payload = self.rtt.payload(now);
        self.push_control(proto::ControlMessage::ping(payload));
    }

    /// What PONGs tell the peer from now on, see `ControlMessage.reconnect_spread_ms`.
    pub fn advise_reconnect_spread(&mut self, reconnect_spread_ms: u32) {
        self.lanes.advise_reconnect_spread(reconnect_spread_ms);
    }

    /// Whether the peer is still there, at `now`. Asks it if that is in doubt.
    pub fn examine(&mut self, now: Instant) -> Doubt {
        let doubt = self.trust.look(now, self.active > 0);
        if doubt == Doubt::Ask {
            self.ping(now);
        }
        doubt
    }

    /// Whether the peer was asked if it is still there and has not answered.
    pub fn is_asked(&self) -> bool {
        self.trust.is_asked()
    }

    /// Gives up the exchanges that have no head yet and can be repeated elsewhere.
    pub fn give_up_unanswered(&mut self) {
        let unanswered = |exchange: &Exchange<F, H>| {
            exchange.active && exchange.repeatable && exchange.theirs == Theirs::Idle
        };
        let ids: Vec<Uuid> =
            self.exchanges.iter().filter(|(_, exchange)| unanswered(exchange)).map(|(id, _)| *id).collect();
        for id in ids {
            self.end_with(id, Reason::Cancelled, Abort::Unheard, "");
        }
    }

    /// Gives up the exchanges whose answer is overdue or that rest for too long, at `now`. Returns whether any are
    /// left to watch.
    pub fn expire(&mut self, now: Instant) -> bool {
        let Settings { idle_timeout: idle, response_timeout: silent, .. } = self.settings;
        let overdue = |exchange: &Exchange<F, H>| match exchange.head_due {
            Some(due) => due <= now,
            None => {
                let rested = |limit: Duration| exchange.touched + limit <= now;
                // A peer that takes no more of our half and says nothing is as silent as one that has all of it.
                let stuck = exchange.theirs == Theirs::Idle && exchange.credit.available() == 0;
                idle.is_some_and(rested) || (stuck && silent.is_some_and(rested))
            }
        };
        let late: Vec<Uuid> = self
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.active && overdue(exchange))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.abort(id, Reason::Timeout, "");
        }
        self.active > 0
    }

    /// Ends an exchange in both directions and tells the peer, if the peer can know of it.
    pub fn abort(&mut self, id: Uuid, reason: Reason, message: &str) {
        self.end_with(id, reason, Abort::Local(reason), message);
    }

    /// Closes the link: every exchange ends, control frames that are queued still leave. Only the first reason counts.
    pub fn close(&mut self, reason: CloseReason) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason);
        self.corked = false;
        let ids: Vec<Uuid> = self.exchanges.keys().copied().collect();
        for id in ids {
            if let Some(exchange) = self.exchanges.get_mut(&id).filter(|exchange| exchange.active) {
                exchange.abort(Abort::LinkLost { handed_over: exchange.handed_over });
            }
            self.settle(id);
        }
        wake(&mut self.transport);
        wake(&mut self.drained);
    }

    /// Whether no exchange is in progress; otherwise the task of `cx` is woken once that is so.
    pub fn poll_drained(&mut self, cx: &Context<'_>) -> bool {
        if self.active > 0 {
            register(&mut self.drained, cx);
        }
        self.active == 0
    }

    fn insert(&mut self, id: Uuid, exchange: Exchange<F, H>) {
        self.active += 1;
        self.exchanges.insert(id, Box::new(exchange));
    }

    fn may_open(&self, id: Uuid) -> Result<(), OpenError> {
        if self.closed.is_some() {
            return Err(OpenError::Closed);
        }
        if self.active >= self.settings.max_concurrent {
            return Err(OpenError::Full);
        }
        if self.exchanges.contains_key(&id) { Err(OpenError::Duplicate) } else { Ok(()) }
    }

    fn exchange(&self, ours: Ours, theirs: Theirs, now: Instant) -> Exchange<F, H> {
        let window = RecvWindow::new(self.settings.recv_window);
        Exchange::new(ours, theirs, window, SendCredit::new(self.settings.send_window), now)
    }

    /// An exchange that is still in progress.
    fn live(&mut self, id: Uuid) -> Option<&mut Exchange<F, H>> {
        self.exchanges.get_mut(&id).map(|exchange| &mut **exchange).filter(|exchange| exchange.active)
    }

    fn end_with(&mut self, id: Uuid, reason: Reason, abort: Abort, message: &str) {
        let Some(exchange) = self.live(id) else { return };
        let peer_knows = exchange.handed_over;
        exchange.abort(abort);
        if peer_knows {
            self.push_control(TunnelClose::because(id, reason, message));
        }
        self.settle(id);
    }

    fn violation(&mut self, id: Uuid, violation: Violation, now: Instant) -> Result<(), TooManyViolations> {
        let Violation { reason, what, weight } = violation;
        self.end_with(id, reason, Abort::Violation(what), what);
        self.strikes.add(weight, what, now)
    }

    /// Puts an exchange in line for its next body frame.
    fn line_up(&mut self, id: Uuid) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if !exchange.in_line && exchange.has_frames() {
            exchange.in_line = true;
            self.lanes.push_body(id);
        }
        wake(&mut self.transport);
    }

    fn push_window(&mut self, id: Uuid, credit: u32) {
        self.push_control(TunnelWindow { id: id_text(id), credit });
    }

    /// Takes stock after an event: an exchange that is over leaves the count, and the table once nobody holds it.
    fn settle(&mut self, id: Uuid) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        if !exchange.is_over() {
            return;
        }
        if exchange.active {
            exchange.active = false;
            self.active -= 1;
            if self.active == 0 {
                wake(&mut self.drained);
            }
        }
        if !exchange.has_reader && !exchange.has_writer {
            self.budget.release(exchange.held);
            self.exchanges.remove(&id);
        }
    }
}

/// A rule that the peer broke on one exchange, and how many strikes that counts.
struct Violation {
    reason: Reason,
    what: &'static str,
    weight: u32,
}

impl Violation {
    const fn protocol(what: &'static str) -> Self {
        Self { reason: Reason::Protocol, what, weight: 1 }
    }

    /// Spending credit one does not have is never an accident: the third time closes the link.
    const fn flow_control(what: &'static str) -> Self {
        Self { reason: Reason::FlowControl, what, weight: limits::MAX_STRIKES.div_ceil(3) }
    }
}

impl<F, H> fmt::Debug for InFlight<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight")
            .field("active", &self.active)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// A body chunk off the wire, with what stands beside it.
struct Arrived {
    chunk: Bytes,
    end: bool,
}
