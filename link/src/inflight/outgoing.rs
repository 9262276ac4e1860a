//! What leaves the link next.

use std::time::Instant;

use proto::{Frame, TunnelClose, TunnelData, id_text, limits, tunnel_close::Reason};
use uuid::Uuid;

use super::InFlight;
use crate::{
    CloseReason,
    exchange::{End, Ours, register},
    lanes::Next,
};

impl<F: Frame, H> InFlight<F, H> {
    /// The next frame for the transport, or `None` when there is none now.
    pub fn next_frame(&mut self, now: Instant) -> Option<F> {
        if self.corked {
            return None;
        }
        loop {
            let frame = match self.lanes.next()? {
                Next::Control(frame) => Some(frame),
                Next::Head(id) => self.hand_over_head(id, now),
                Next::Body(id) => self.hand_over_turn(id, now),
            };
            if frame.is_some() {
                return frame;
            }
        }
    }

    /// Why the link is closed; otherwise the task of `cx` is woken when a frame is queued or the link closes.
    pub fn poll_closed(&mut self, cx: &std::task::Context<'_>) -> Option<CloseReason> {
        if self.closed.is_none() {
            register(&mut self.transport, cx);
        }
        self.closed.clone()
    }

    fn hand_over_head(&mut self, id: Uuid, now: Instant) -> Option<F> {
        let exchange = self.exchanges.get_mut(&id)?;
        if let Some(interim) = exchange.interim_out.pop_front() {
            return Some(interim);
        }
        let head = exchange.head_out.take()?;
        exchange.handed_over = true;
        exchange.touched = now;
        if exchange.head_due.is_some() {
            exchange.head_due = exchange.response_timeout.map(|limit| now + limit);
        }
        self.settle(id);
        Some(head)
    }

    /// One frame of an exchange whose turn it is; what it has left goes to the end of the line.
    fn hand_over_turn(&mut self, id: Uuid, now: Instant) -> Option<F> {
        self.exchanges.get_mut(&id)?.in_line = false;
        let frame = self.hand_over_head(id, now).or_else(|| self.hand_over_body(id, now));
        self.line_up(id);
        frame
    }

    fn hand_over_body(&mut self, id: Uuid, now: Instant) -> Option<F> {
        let exchange = self.exchanges.get_mut(&id)?;
        exchange.touched = now;
        let chunk = exchange.body_out.pop_front();
        let last = exchange.body_out.is_empty();
        let frame = match (chunk, &exchange.end_out) {
            (None, None) => return None,
            (None, Some(End::Trailers(_))) => {
                let Some(End::Trailers(trailers)) = exchange.end_out.take() else { return None };
                TunnelClose { trailers, ..TunnelClose::because(id, Reason::Done, "") }.into()
            }
            (chunk, end) => {
                let end_stream = last && matches!(end, Some(End::Plain));
                let chunk = chunk.unwrap_or_default();
                exchange.queued -= chunk.len();
                if end_stream {
                    exchange.end_out = None;
                }
                TunnelData { id: id_text(id), chunk, end_stream }.into()
            }
        };
        if exchange.queued <= limits::SEND_QUEUE / 2 {
            exchange.wake_writer();
        }
        let whole = exchange.ours == Ours::Closed && !exchange.has_frames();
        if whole && exchange.theirs == crate::exchange::Theirs::Idle {
            exchange.head_due = exchange.response_timeout.map(|limit| now + limit);
        }
        self.settle(id);
        Some(frame)
    }
}
