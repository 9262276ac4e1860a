//! Events from this side: an exchange opens, a producer sends, a consumer reads, either leaves.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use proto::{Fields, Frame, Header, limits, tunnel_close::Reason};
use uuid::Uuid;

use super::{InFlight, OpenError, Opening, ReaderGone};
use crate::{
    Abort,
    budget::{Held, LinkBudget},
    exchange::{End, Ours, Theirs, register, wake},
};

/// Heads with more inline body than this wait their turn among the bodies, so that uploads cannot crowd out heads.
const SMALL_HEAD: usize = 4 * 1024;

impl<F: Frame, H> InFlight<F, H> {
    /// Opens an exchange with our head (gateway). `head` makes the frame, given the credit to announce in it.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has happened then.
    pub fn open(
        &mut self,
        id: Uuid,
        opening: Opening,
        now: Instant,
        head: impl FnOnce(u32) -> F,
    ) -> Result<(), OpenError> {
        self.may_open(id)?;
        let Opening { inline, end, waits, repeatable, limit } = opening;
        let held = self.admit(!end, limits::EXTRA_WINDOW)?;
        let ours = if end { Ours::Closed } else { Ours::Open };
        let mut exchange = self.exchange(ours, Theirs::Idle, now);
        exchange.held = held;
        exchange.repeatable = repeatable;
        exchange.window.widen(held.extra());
        exchange.credit.take(inline);
        exchange.head_out = Some(head(held.extra()));
        exchange.has_writer = !end;
        exchange.response_timeout = self.settings.response_timeout.into_iter().chain(limit).min();
        exchange.head_due = exchange.response_timeout.filter(|_| end || waits).map(|limit| now + limit);
        self.insert(id, exchange);
        self.queue_head(id, inline);
        Ok(())
    }

    /// Takes up an exchange that the peer opened (agent), with the beginning of its body or all of it.
    ///
    /// # Errors
    /// [`OpenError`]; the caller refuses the exchange towards the peer.
    pub fn take_up(
        &mut self,
        id: Uuid,
        body: Bytes,
        end: bool,
        credit: u32,
        now: Instant,
    ) -> Result<(), OpenError> {
        self.may_open(id)?;
        let held = self.admit(true, if end { 0 } else { limits::EXTRA_WINDOW })?;
        let mut exchange = self.exchange(Ours::Idle, if end { Theirs::Closed } else { Theirs::Open }, now);
        exchange.handed_over = true;
        exchange.held = held;
        // The peer's own bounds on its credit and its inline body hold from the first frame on.
        let bad = exchange.credit.grant(credit).is_err() || exchange.window.on_received(body.len()).is_err();
        exchange.chunks.push(body);
        exchange.window.widen(held.extra());
        self.insert(id, exchange);
        if bad {
            self.abort(id, Reason::FlowControl, "the request's own credit or body is out of bounds");
        } else if held.extra() > 0 {
            self.push_window(id, held.extra());
        }
        Ok(())
    }

    /// Sends our head on an exchange that the peer opened.
    pub fn send_head(&mut self, id: Uuid, head: F, inline: usize, end: bool, now: Instant) {
        let Some(exchange) = self.live(id).filter(|exchange| exchange.ours == Ours::Idle) else { return };
        exchange.credit.take(inline);
        exchange.touched = now;
        exchange.ours = if end { Ours::Closed } else { Ours::Open };
        exchange.head_out = Some(head);
        self.queue_head(id, inline);
    }

    /// Sends an interim response before our head on an exchange that the peer opened.
    pub fn send_interim(&mut self, id: Uuid, head: F, now: Instant) {
        let Some(exchange) = self.live(id).filter(|exchange| exchange.ours == Ours::Idle) else { return };
        exchange.touched = now;
        exchange.interim_out.push_back(head);
        self.queue_head(id, 0);
    }

    /// Queues as much of `chunk` as credit and the queue's bound allow, and takes it off its front. Ready once the
    /// chunk is empty.
    ///
    /// # Errors
    /// The [`Abort`] that ended the exchange, or [`Abort::Stopped`].
    pub fn poll_send(&mut self, id: Uuid, chunk: &mut Bytes, cx: &Context<'_>) -> Poll<Result<(), Abort>> {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Poll::Ready(Err(Abort::Stopped)) };
        if let Some(abort) = &exchange.aborted {
            return Poll::Ready(Err(abort.clone()));
        }
        if exchange.ours != Ours::Open {
            return Poll::Ready(Err(Abort::Stopped));
        }
        while !chunk.is_empty() {
            let len = exchange.room().min(chunk.len());
            if len == 0 {
                register(&mut exchange.writer, cx);
                break;
            }
            exchange.credit.take(len);
            exchange.queued += len;
            exchange.body_out.push_back(chunk.split_to(len));
        }
        self.line_up(id);
        if chunk.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Ready once the producer need not go on: the exchange was aborted, or the peer stopped our half.
    pub fn poll_stopped(&mut self, id: Uuid, cx: &Context<'_>) -> Poll<Abort> {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Poll::Ready(Abort::Stopped) };
        if let Some(abort) = &exchange.aborted {
            return Poll::Ready(abort.clone());
        }
        if exchange.ours == Ours::Closed {
            return Poll::Ready(Abort::Stopped);
        }
        register(&mut exchange.writer, cx);
        Poll::Pending
    }

    /// Ends our half cleanly, behind what is queued.
    pub fn finish(&mut self, id: Uuid, trailers: Vec<Header>) {
        let Some(exchange) = self.live(id).filter(|exchange| exchange.ours == Ours::Open) else { return };
        exchange.ours = Ours::Closed;
        exchange.end_out = Some(if trailers.is_empty() { End::Plain } else { End::Trailers(trailers) });
        self.line_up(id);
    }

    /// Waits for the peer's next head: any number of interim ones, then the final one.
    ///
    /// # Errors
    /// The [`Abort`] that ended the exchange.
    pub fn poll_head(&mut self, id: Uuid, cx: &Context<'_>) -> Poll<Result<H, Abort>> {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Poll::Ready(Err(Abort::Stopped)) };
        if let Some(abort) = &exchange.aborted {
            return Poll::Ready(Err(abort.clone()));
        }
        if let Some(head) = exchange.heads_in.pop_front() {
            return Poll::Ready(Ok(head));
        }
        register(&mut exchange.reader, cx);
        Poll::Pending
    }

    /// Takes the next chunk of the peer's half and gives its credit back; `None` at the clean end.
    ///
    /// # Errors
    /// The [`Abort`] that ended the exchange.
    pub fn poll_chunk(
        &mut self,
        id: Uuid,
        now: Instant,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<Bytes, Abort>>> {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return Poll::Ready(None) };
        if let Some(abort) = &exchange.aborted {
            return Poll::Ready(Some(Err(abort.clone())));
        }
        let Some(chunk) = exchange.chunks.pop() else {
            if exchange.theirs == Theirs::Closed {
                return Poll::Ready(None);
            }
            register(&mut exchange.reader, cx);
            return Poll::Pending;
        };
        exchange.touched = now;
        if exchange.theirs == Theirs::Open {
            self.give_back(id, chunk.len(), now);
        }
        Poll::Ready(Some(Ok(chunk)))
    }

    /// Whether the peer's half ended cleanly and everything in it was taken.
    pub fn is_read(&self, id: Uuid) -> bool {
        self.exchanges.get(&id).is_none_or(|exchange| exchange.is_read())
    }

    /// Whether the peer's half ended cleanly and nothing of it is left to take, trailers neither.
    pub fn is_over(&self, id: Uuid) -> bool {
        let over = |exchange: &super::Exchange<F, H>| exchange.is_read() && exchange.trailers_in.is_none();
        self.exchanges.get(&id).is_some_and(|exchange| over(exchange))
    }

    /// The trailers that ended the peer's half, once.
    pub fn take_trailers(&mut self, id: Uuid) -> Option<Fields> {
        self.exchanges.get_mut(&id).and_then(|exchange| exchange.trailers_in.take())
    }

    /// The consumer of the peer's half is gone.
    pub fn on_reader_gone(&mut self, id: Uuid) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.has_reader = false;
        exchange.chunks.clear();
        let unfinished = exchange.active && matches!(exchange.theirs, Theirs::Idle | Theirs::Open);
        match self.settings.reader_gone {
            ReaderGone::Cancel if unfinished => self.abort(id, Reason::Cancelled, ""),
            ReaderGone::StopSending if unfinished => {
                exchange.theirs = Theirs::Discarded;
                self.push_control(proto::TunnelClose::because(id, Reason::StopSending, ""));
            }
            _ => {}
        }
        self.settle(id);
    }

    /// The producer of our half is gone; if it did not finish, the peer must not take what it got for the whole.
    pub fn on_writer_gone(&mut self, id: Uuid) {
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        exchange.has_writer = false;
        if exchange.ours != Ours::Closed {
            self.abort(id, Reason::Cancelled, "");
        }
        self.settle(id);
    }

    /// Memory for one more exchange.
    fn admit(&mut self, sends_body: bool, extra: u32) -> Result<Held, OpenError> {
        let base = LinkBudget::base(self.settings.recv_window, sends_body);
        self.budget.admit(base, extra).ok_or(OpenError::Memory)
    }

    fn queue_head(&mut self, id: Uuid, inline: usize) {
        if inline <= SMALL_HEAD {
            self.lanes.push_head(id);
            wake(&mut self.transport);
        } else {
            self.line_up(id);
        }
    }

    /// Returns credit for consumed bytes, and widens the window when it is what holds the peer back.
    fn give_back(&mut self, id: Uuid, bytes: usize, now: Instant) {
        let min_rtt = self.rtt.min();
        let Some(exchange) = self.exchanges.get_mut(&id) else { return };
        let mut grant = exchange.window.on_consumed(bytes).unwrap_or(0);
        if let Some(growth) = exchange.window.wanted_growth(bytes, now, min_rtt)
            && self.budget.grow(&mut exchange.held, growth)
        {
            exchange.window.widen(growth);
            grant += growth;
        }
        if grant > 0 {
            self.push_window(id, grant);
        }
    }
}
