//! The books of one exchange, kept beside it.

use std::task::Poll;

use bytes::Bytes;
use link::Abort;
use proto::limits;
use session::ResponseHead;
use uuid::Uuid;

/// What both sides of one exchange did, as an onlooker sees it.
pub(super) struct Ledger {
    pub(super) id: Uuid,
    pub(super) has_reader: bool,
    pub(super) has_writer: bool,

    /// What the agent may send: granted to it by frames that left.
    pub(super) granted: u64,
    /// What it sent while the exchange could take it.
    pub(super) sent: u64,
    /// That it sent an end behind that.
    pub(super) ended: bool,
    /// That it sent more than it was granted, or granted more than can be.
    pub(super) overdrew: bool,
    read: u64,
    heads_read: usize,
    final_head: bool,
    outcome: Option<Outcome>,

    /// What the gateway may send, and what of it left.
    pub(super) gateway_granted: u64,
    pub(super) gateway_sent: u64,
    pub(super) gateway_begun: bool,
    pub(super) gateway_ended: bool,
    pub(super) gateway_aborted: bool,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Clean,
    Aborted(Abort),
}

impl Ledger {
    pub(super) fn new(id: Uuid, end: bool) -> Self {
        Self {
            id,
            has_reader: true,
            has_writer: !end,
            granted: 0,
            sent: 0,
            ended: false,
            overdrew: false,
            read: 0,
            heads_read: 0,
            final_head: false,
            outcome: None,
            gateway_granted: limits::INITIAL_WINDOW.into(),
            gateway_sent: 0,
            gateway_begun: false,
            gateway_ended: end,
            gateway_aborted: false,
        }
    }

    /// The byte that stands there in what the agent sends: bodies that are mixed, cut or doubled are noticed.
    pub(super) fn byte_at(&self, at: u64) -> u8 {
        (at.wrapping_mul(31).wrapping_add(self.id.as_u128() as u64 * 101) % 251) as u8
    }

    /// Credit that the agent has beyond what every exchange may have.
    pub(super) fn beyond_guaranteed(&self) -> u64 {
        self.granted.saturating_sub(self.read + u64::from(limits::INITIAL_WINDOW))
    }

    /// Whether the reader is past the final head, or knows why there is none.
    pub(super) fn wants_body(&self) -> bool {
        self.final_head || self.outcome.is_some()
    }

    pub(super) fn on_head_read(&mut self, head: Result<ResponseHead, Abort>) {
        match head {
            Ok(head) => {
                assert!(self.outcome.is_none(), "a head behind the outcome");
                assert!(!self.final_head, "a head behind the final one");
                self.heads_read += 1;
                assert!(self.heads_read <= 17, "{} heads", self.heads_read);
                self.final_head = !head.interim;
            }
            Err(abort) => self.on_outcome(Outcome::Aborted(abort)),
        }
    }

    pub(super) fn on_chunk_read(&mut self, chunk: Option<Result<Bytes, Abort>>) {
        match chunk {
            Some(Ok(chunk)) => {
                assert!(
                    self.outcome.is_none() && !chunk.is_empty(),
                    "data behind the outcome, or none of it"
                );
                for byte in chunk {
                    assert_eq!(byte, self.byte_at(self.read), "another byte than was sent");
                    self.read += 1;
                }
                assert!(self.read <= self.sent, "more than was sent");
            }
            Some(Err(abort)) => self.on_outcome(Outcome::Aborted(abort)),
            None => {
                assert!(self.ended && self.read == self.sent, "a cut body that ends cleanly");
                self.on_outcome(Outcome::Clean);
            }
        }
    }

    /// There is exactly one outcome, however often one asks. What was read to its clean end may be given up later.
    fn on_outcome(&mut self, outcome: Outcome) {
        if let Some(before) = &self.outcome
            && *before != Outcome::Clean
        {
            assert_eq!(*before, outcome, "a second outcome");
        }
        self.outcome = Some(outcome);
    }

    /// Nothing is in progress any more: whoever waits for a head gets it, or learns why not.
    pub(super) fn on_end(&mut self, head: Poll<Result<ResponseHead, Abort>>) {
        match head {
            Poll::Ready(head) => self.on_head_read(head),
            Poll::Pending => assert!(self.final_head && self.ended, "a reader that waits for ever"),
        }
    }
}
