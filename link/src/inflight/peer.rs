//! Events from the wire. None waits for a consumer; each names the rule it enforces.

use std::time::{Duration, Instant};

use proto::{
    ControlMessage, Frame, TunnelClose, TunnelData, TunnelWindow, control_message, headers, limits, parse_id,
    tunnel_close::Reason,
};
use uuid::Uuid;

use super::{Arrived, InFlight, Violation};
use crate::{
    Abort, TooManyViolations,
    exchange::{Ours, Theirs},
};

/// Interim responses that one exchange may have.
const MAX_INTERIMS: u8 = 16;

type Outcome = Result<(), TooManyViolations>;

/// Control frames that may wait for a peer which reads nothing, before the link is given up.
const CONTROL_QUEUE: usize = 4096;

impl<F: Frame, H> InFlight<F, H> {
    /// The peer's head arrived, with the beginning of its body or all of it, and `credit` for our half.
    ///
    /// # Errors
    /// [`TooManyViolations`] once the link must be closed, here and in every method below.
    pub fn on_head(
        &mut self,
        id: Uuid,
        head: H,
        body: bytes::Bytes,
        end: bool,
        credit: u32,
        now: Instant,
    ) -> Outcome {
        self.trust.on_heard(now);
        let Some(exchange) = self.live(id) else { return Ok(()) };
        if exchange.theirs != Theirs::Idle {
            return self.violation(id, Violation::protocol("a second head"), now);
        }
        exchange.theirs = Theirs::Open;
        exchange.head_due = None;
        exchange.heads_in.push_back(head);
        if exchange.credit.grant(credit).is_err() {
            return self.violation(id, Violation::flow_control("more credit than an exchange can hold"), now);
        }
        exchange.wake_writer();
        self.on_body(id, Arrived { chunk: body, end }, now)
    }

    /// An interim response arrived. `proceed` says that the peer asks for the body (100), so that its time does not run
    /// until it has the body.
    ///
    /// # Errors
    /// See [`InFlight::on_head`].
    pub fn on_interim(&mut self, id: Uuid, head: H, proceed: bool, now: Instant) -> Outcome {
        self.trust.on_heard(now);
        let Some(exchange) = self.live(id) else { return Ok(()) };
        if exchange.theirs != Theirs::Idle {
            return self.violation(id, Violation::protocol("an interim response behind the head"), now);
        }
        if exchange.interims == MAX_INTERIMS {
            return self.violation(id, Violation::protocol("too many interim responses"), now);
        }
        exchange.interims += 1;
        exchange.touched = now;
        if proceed && exchange.ours == Ours::Open {
            exchange.head_due = None;
        }
        exchange.heads_in.push_back(head);
        exchange.wake_reader();
        Ok(())
    }

    /// The peer's head is unusable; `what` says why.
    ///
    /// # Errors
    /// See [`InFlight::on_head`].
    pub fn on_invalid_head(&mut self, id: Uuid, what: &'static str, now: Instant) -> Outcome {
        self.violation(id, Violation::protocol(what), now)
    }

    /// A body chunk arrived.
    ///
    /// # Errors
    /// See [`InFlight::on_head`].
    pub fn on_data(&mut self, data: TunnelData, now: Instant) -> Outcome {
        self.trust.on_heard(now);
        let Ok(id) = parse_id(&data.id) else { return self.strike("an id that is not a UUID", now) };
        if data.chunk.is_empty() && !data.end_stream {
            return self.strike("an empty chunk", now);
        }
        let Some(exchange) = self.live(id) else { return Ok(()) };
        match exchange.theirs {
            Theirs::Open => self.on_body(id, Arrived { chunk: data.chunk, end: data.end_stream }, now),
            Theirs::Discarded => Ok(()),
            Theirs::Idle => self.violation(id, Violation::protocol("a chunk before the head"), now),
            Theirs::Closed => self.violation(id, Violation::protocol("a chunk after the end"), now),
        }
    }

    /// The peer closed its half, stopped ours, or aborted both.
    ///
    /// # Errors
    /// See [`InFlight::on_head`].
    pub fn on_close(&mut self, close: TunnelClose, now: Instant) -> Outcome {
        self.trust.on_heard(now);
        let Ok(id) = parse_id(&close.id) else { return self.strike("an id that is not a UUID", now) };
        // A reason from a later version is an abort: only DONE may look like an end.
        let reason = Reason::try_from(close.reason).unwrap_or(Reason::Internal);
        let Some(exchange) = self.live(id) else { return Ok(()) };
        match (reason, exchange.theirs) {
            (Reason::Done, Theirs::Open) => match headers::trailers_from_wire(close.trailers) {
                Ok(trailers) => {
                    exchange.trailers_in = (!trailers.is_empty()).then_some(trailers);
                    exchange.theirs = Theirs::Closed;
                    exchange.wake_reader();
                }
                Err(_) => return self.violation(id, Violation::protocol("invalid trailers"), now),
            },
            (Reason::Done, Theirs::Discarded) => exchange.theirs = Theirs::Closed,
            (Reason::Done, Theirs::Idle) => {
                return self.violation(id, Violation::protocol("an end before the head"), now);
            }
            (Reason::Done, Theirs::Closed) => {
                return self.violation(id, Violation::protocol("a second end"), now);
            }
            (Reason::StopSending, _) if exchange.ours == Ours::Idle => {
                return self.violation(id, Violation::protocol("a stop before our head"), now);
            }
            (Reason::StopSending, _) => {
                let head = exchange.head_out.take();
                exchange.drop_outgoing();
                exchange.head_out = head;
                exchange.ours = Ours::Closed;
                if exchange.theirs == Theirs::Idle {
                    exchange.head_due = exchange.response_timeout.map(|limit| now + limit);
                }
                exchange.wake_writer();
            }
            (reason, _) => {
                exchange.abort(Abort::Peer { reason, message: close.short_message().to_owned() });
            }
        }
        self.settle(id);
        Ok(())
    }

    /// The peer granted credit for our half.
    ///
    /// # Errors
    /// See [`InFlight::on_head`].
    pub fn on_window(&mut self, window: &TunnelWindow, now: Instant) -> Outcome {
        self.trust.on_heard(now);
        let Ok(id) = parse_id(&window.id) else { return self.strike("an id that is not a UUID", now) };
        let Some(exchange) = self.live(id) else { return Ok(()) };
        if exchange.credit.grant(window.credit).is_err() {
            return self.violation(id, Violation::flow_control("more credit than an exchange can hold"), now);
        }
        exchange.touched = now;
        exchange.wake_writer();
        Ok(())
    }

    /// A PING or PONG arrived. Returns the round trip that a PONG measured.
    ///
    /// # Errors
    /// See [`InFlight::on_head`].
    pub fn on_control(
        &mut self,
        control: ControlMessage,
        now: Instant,
    ) -> Result<Option<Duration>, TooManyViolations> {
        self.trust.on_heard(now);
        if control.payload.len() > limits::MAX_PING_PAYLOAD {
            return self.strike("a control payload over 64 bytes", now).map(|()| None);
        }
        match control.r#type() {
            control_message::Type::Ping => {
                // A copy, for a slice would keep the whole read buffer alive.
                self.lanes.push_pong(bytes::Bytes::copy_from_slice(&control.payload));
                crate::exchange::wake(&mut self.transport);
                Ok(None)
            }
            control_message::Type::Pong => Ok(self.rtt.on_pong(&control.payload, now)),
            control_message::Type::Unspecified => Ok(None),
        }
    }

    /// Whether the peer lets even control frames pile up.
    pub fn is_overloaded(&self) -> bool {
        self.lanes.control_len() > CONTROL_QUEUE
    }

    /// Counts a violation that belongs to no exchange.
    ///
    /// # Errors
    /// See [`InFlight::on_head`].
    pub fn strike(&mut self, what: &'static str, now: Instant) -> Outcome {
        self.strikes.add(1, what, now)
    }

    /// Queues body bytes of a half that is open, and closes it if they are its last.
    fn on_body(&mut self, id: Uuid, arrived: Arrived, now: Instant) -> Outcome {
        let Some(exchange) = self.live(id) else { return Ok(()) };
        if arrived.chunk.len() > limits::MAX_CHUNK {
            return self.violation(id, Violation::protocol("a chunk over the agreed size"), now);
        }
        if exchange.window.on_received(arrived.chunk.len()).is_err() {
            return self.violation(id, Violation::flow_control("more bytes than credit"), now);
        }
        exchange.touched = now;
        exchange.chunks.push(arrived.chunk);
        if arrived.end {
            exchange.theirs = Theirs::Closed;
        }
        exchange.wake_reader();
        self.settle(id);
        Ok(())
    }
}
