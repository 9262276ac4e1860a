use std::{
    collections::VecDeque,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::{
    Fields, Header, limits,
    window::{RecvWindow, SendCredit},
};

use crate::{Abort, budget::Held, chunks::ChunkQueue};

/// One HTTP exchange, as one end of the link sees it: two halves that end independently.
///
/// ```text
///  ours    Idle --our head--> Open --our last frame queued--> Closed
///                               \--STOP_SENDING arrives-------^
///  theirs  Idle --their head--> Open --end_stream / Close DONE--> Closed
///                                \--our reader leaves (agent)---> Discarded
///
///  both ended (Closed, Discarded) and all frames handed over -> Done
///  any other Close, a violation, a time-out, a lost link     -> Aborted, at once and in both halves
/// ```
/// The gateway starts with its own half Open (the request's head is what opens an exchange) and the agent's Idle; at
/// the agent it is the other way round.
#[derive(Debug)]
pub(crate) struct Exchange<F, H> {
    pub(crate) ours: Ours,
    pub(crate) theirs: Theirs,
    pub(crate) aborted: Option<Abort>,
    /// Whether this exchange still counts as in progress.
    pub(crate) active: bool,

    /// Interim responses, then the final head.
    pub(crate) heads_in: VecDeque<H>,
    /// How many interim responses came.
    pub(crate) interims: u8,
    pub(crate) chunks: ChunkQueue,
    pub(crate) trailers_in: Option<Fields>,
    pub(crate) window: RecvWindow,
    /// What is reserved from the budget.
    pub(crate) held: Held,
    /// Whether the request may be sent again elsewhere although the peer may have seen it.
    pub(crate) repeatable: bool,

    /// Interim responses that go before the head.
    pub(crate) interim_out: VecDeque<F>,
    pub(crate) head_out: Option<F>,
    pub(crate) body_out: VecDeque<Bytes>,
    pub(crate) queued: usize,
    pub(crate) end_out: Option<End>,
    pub(crate) in_line: bool,
    pub(crate) handed_over: bool,
    pub(crate) credit: SendCredit,

    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
    pub(crate) has_reader: bool,
    pub(crate) has_writer: bool,

    /// How long the peer may take to its head, once it is its turn.
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) head_due: Option<Instant>,
    pub(crate) touched: Instant,
}

/// Our half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ours {
    Idle,
    Open,
    Closed,
}

/// The peer's half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theirs {
    Idle,
    Open,
    Discarded,
    Closed,
}

/// How our half ends, once what is queued has left.
#[derive(Debug)]
pub(crate) enum End {
    Plain,
    Trailers(Vec<Header>),
}

impl<F, H> Exchange<F, H> {
    pub(crate) fn new(
        ours: Ours,
        theirs: Theirs,
        window: RecvWindow,
        credit: SendCredit,
        now: Instant,
    ) -> Self {
        Self {
            ours,
            theirs,
            aborted: None,
            active: true,
            heads_in: VecDeque::new(),
            interims: 0,
            chunks: ChunkQueue::default(),
            trailers_in: None,
            window,
            held: Held::default(),
            repeatable: false,
            interim_out: VecDeque::new(),
            head_out: None,
            body_out: VecDeque::new(),
            queued: 0,
            end_out: None,
            in_line: false,
            handed_over: false,
            credit,
            reader: None,
            writer: None,
            has_reader: true,
            has_writer: true,
            response_timeout: None,
            head_due: None,
            touched: now,
        }
    }

    /// Whether nothing more is owed to the wire, nor expected from it.
    pub(crate) fn is_over(&self) -> bool {
        if self.aborted.is_some() {
            return true;
        }
        let ours = self.ours == Ours::Closed && !self.has_frames();
        ours && matches!(self.theirs, Theirs::Closed | Theirs::Discarded)
    }

    /// Whether the peer's half ended cleanly and all of its body was taken.
    pub(crate) fn is_read(&self) -> bool {
        self.aborted.is_none() && self.theirs == Theirs::Closed && self.chunks.is_empty()
    }

    /// Whether frames of this exchange wait for the link.
    pub(crate) fn has_frames(&self) -> bool {
        !self.interim_out.is_empty()
            || self.head_out.is_some()
            || !self.body_out.is_empty()
            || self.end_out.is_some()
    }

    /// Bytes that our half may queue now: what credit and the queue's bound allow.
    pub(crate) fn room(&self) -> usize {
        self.credit.available().min(limits::SEND_QUEUE.saturating_sub(self.queued)).min(limits::MAX_CHUNK)
    }

    /// Ends both halves at once and drops what was queued in either direction.
    pub(crate) fn abort(&mut self, abort: Abort) {
        self.chunks.clear();
        self.heads_in = VecDeque::new();
        self.drop_outgoing();
        self.aborted = Some(abort);
        self.wake_both();
    }

    /// Forgets what was queued for the wire.
    pub(crate) fn drop_outgoing(&mut self) {
        self.interim_out = VecDeque::new();
        self.head_out = None;
        self.body_out = VecDeque::new();
        self.end_out = None;
        self.queued = 0;
    }

    pub(crate) fn wake_reader(&mut self) {
        wake(&mut self.reader);
    }

    pub(crate) fn wake_writer(&mut self) {
        wake(&mut self.writer);
    }

    fn wake_both(&mut self) {
        self.wake_reader();
        self.wake_writer();
    }
}

pub(crate) fn wake(slot: &mut Option<Waker>) {
    if let Some(waker) = slot.take() {
        waker.wake();
    }
}

/// Remembers the task of `cx`; a clone is made only if it is another task than before.
pub(crate) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}
