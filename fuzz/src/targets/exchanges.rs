//! The gateway's end of a link against an agent that sends anything, in any order, at any time: what its read loop does
//! with frames, what its consumers and producers do meanwhile, and what leaves.
//!
//! The story keeps its own books of what was granted, sent, read and said ([`ledger`]). At its end nothing is left: no
//! exchange in progress, no credit reserved.

use std::{
    task::{Context, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use link::{Budget, CloseReason, Doubt, OpenError, Opening};
use proto::{AgentId, TokenId, TunnelRequest, id_text, limits, tunnel_close::Reason};
use session::{Outbound, Session};
use uuid::Uuid;

use crate::input::Input;
use ledger::Ledger;

mod agent;
mod ledger;

const BUDGET: u64 = 1024 * 1024;
/// Exchanges of one story.
const EXCHANGES: usize = 8;

pub(super) fn run(data: &[u8]) {
    let mut story = Story::new();
    let mut input = Input::new(data);
    while !input.is_empty() {
        story.step(&mut input);
        story.check();
    }
    story.end(data.len().is_multiple_of(2));
}

struct Story {
    session: std::sync::Arc<Session>,
    /// Kept, since a link without it is closed.
    outbound: Outbound,
    budget: Budget,
    ledgers: Vec<Ledger>,
    now: Instant,
}

impl Story {
    fn new() -> Self {
        let budget = Budget::new(BUDGET);
        let (agent_id, token) = (AgentId::parse("myapp").unwrap(), TokenId::parse("itk_a").unwrap());
        let (session, outbound) = Session::detached(agent_id, token, "one", &budget);
        session.link().table().agree(EXCHANGES - 2, limits::INITIAL_WINDOW);
        Self { session, outbound, budget, ledgers: Vec::new(), now: link::now() }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.choice(16) {
            0 => self.open(input),
            1 => self.pass(input),
            2 | 3 => self.carry(1 + input.choice(8)),
            4 => self.send(input),
            5 | 6 => self.read(input),
            7 => self.leave(input),
            _ => self.agent_sends(input),
        }
    }

    fn open(&mut self, input: &mut Input<'_>) {
        if self.ledgers.len() == EXCHANGES {
            return;
        }
        let id = Uuid::from_u128(self.ledgers.len() as u128 + 1);
        let (inline, end, waits) = (input.len(limits::MAX_CHUNK), input.flag(), input.flag());
        let opening = Opening {
            inline,
            end,
            waits,
            repeatable: end,
            limit: input.flag().then(|| Duration::from_millis(input.u16().into())),
        };
        let body = Bytes::from(vec![0; opening.inline]);
        let head = |window| {
            TunnelRequest {
                id: id_text(id),
                body,
                end_stream: opening.end,
                window,
                ..TunnelRequest::default()
            }
            .into()
        };
        let opened = self.session.link().table().open(id, opening, self.now, head);
        if opened.is_ok() {
            self.ledgers.push(Ledger::new(id, opening.end));
        } else {
            let table = self.session.link().table();
            let full = table.active() == EXCHANGES - 2 || opened == Err(OpenError::Memory);
            assert!(table.close_reason().is_some() || full, "{opened:?}");
        }
    }

    fn pass(&mut self, input: &mut Input<'_>) {
        self.now += Duration::from_millis(input.u16().into());
        let mut table = self.session.link().table();
        table.expire(self.now);
        if matches!(table.examine(self.now), Doubt::Suspect(_)) {
            table.give_up_unanswered();
        }
    }

    /// The transport takes so many frames.
    fn carry(&mut self, frames: usize) {
        for _ in 0..frames {
            let Some(frame) = self.session.link().table().next_frame(self.now) else { return };
            self.on_gateway_frame(frame);
        }
    }

    fn ledger(&mut self, input: &mut Input<'_>) -> Option<&mut Ledger> {
        let at = input.choice(EXCHANGES);
        self.ledgers.get_mut(at)
    }

    /// A client's body goes on, or ends.
    fn send(&mut self, input: &mut Input<'_>) {
        let session = std::sync::Arc::clone(&self.session);
        let Some(ledger) = self.ledger(input).filter(|ledger| ledger.has_writer) else { return };
        let mut table = session.link().table();
        if input.choice(4) == 0 {
            table.finish(ledger.id, Vec::new());
            table.on_writer_gone(ledger.id);
            ledger.has_writer = false;
            return;
        }
        let mut chunk = Bytes::from(vec![0; usize::from(input.u16())]);
        let _ = table.poll_send(ledger.id, &mut chunk, &cx());
    }

    /// A client takes what is there: heads up to the final one, and only then its body.
    fn read(&mut self, input: &mut Input<'_>) {
        let (session, now) = (std::sync::Arc::clone(&self.session), self.now);
        let Some(ledger) = self.ledger(input).filter(|ledger| ledger.has_reader) else { return };
        let mut table = session.link().table();
        if let std::task::Poll::Ready(head) = table.poll_head(ledger.id, &cx()) {
            ledger.on_head_read(head);
        }
        if !ledger.wants_body() {
            return;
        }
        for _ in 0..input.choice(8) {
            match table.poll_chunk(ledger.id, now, &cx()) {
                std::task::Poll::Ready(chunk) => ledger.on_chunk_read(chunk),
                std::task::Poll::Pending => break,
            }
        }
    }

    /// A client leaves, in one way or another, or the link goes.
    fn leave(&mut self, input: &mut Input<'_>) {
        let session = std::sync::Arc::clone(&self.session);
        let way = input.choice(8);
        let Some(ledger) = self.ledger(input) else { return };
        let mut table = session.link().table();
        match way {
            0 | 1 if ledger.has_reader => {
                table.on_reader_gone(ledger.id);
                ledger.has_reader = false;
            }
            2 | 3 if ledger.has_writer => {
                table.on_writer_gone(ledger.id);
                ledger.has_writer = false;
            }
            4 => table.abort(ledger.id, Reason::TooLarge, "too large"),
            5 => {
                drop(table);
                session.link().close(CloseReason::Gone);
            }
            _ => {}
        }
    }

    fn check(&self) {
        let table = self.session.link().table();
        assert!(table.active() <= self.ledgers.len().min(EXCHANGES - 2), "more in progress than was opened");
        if table.close_reason().is_some() {
            assert_eq!(table.active(), 0, "an exchange outlives its link");
        }
        drop(table);
        let reserved = BUDGET - self.budget.left();
        let held = self.ledgers.iter().filter(|ledger| ledger.has_reader);
        let granted: u64 = held.map(Ledger::beyond_guaranteed).sum();
        assert!(granted <= reserved, "{granted} bytes of credit granted, {reserved} reserved");
    }

    /// Whatever happened, time or the loss of the link ends it, and nothing is left.
    fn end(mut self, by_time: bool) {
        if by_time {
            self.now += limits::IDLE_TIMEOUT + limits::RESPONSE_TIMEOUT;
            assert!(!self.session.link().table().expire(self.now), "an exchange that rests for ever");
        } else {
            self.session.link().close(CloseReason::Gone);
        }
        assert_eq!(self.session.in_flight(), 0);
        self.carry(usize::MAX);
        let mut table = self.session.link().table();
        assert!(table.poll_drained(&cx()), "nothing is in progress, and somebody waits");
        for ledger in &mut self.ledgers {
            if ledger.has_reader {
                ledger.on_end(table.poll_head(ledger.id, &cx()));
                table.on_reader_gone(ledger.id);
            }
            if ledger.has_writer {
                table.on_writer_gone(ledger.id);
            }
        }
        assert_eq!(self.budget.left(), BUDGET, "credit was lost");
        while table.next_frame(self.now).is_some() {}
        drop(table);
        drop((self.session, self.outbound));
        assert_eq!(self.budget.left(), BUDGET, "credit was given back twice");
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
