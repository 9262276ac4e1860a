use std::collections::VecDeque;

use bytes::Bytes;
use proto::{ControlMessage, Frame};
use uuid::Uuid;

/// The order in which frames leave a link: small control frames first, then the heads of exchanges in the order they
/// came, then body bytes, one frame per exchange and turn.
///
/// Heads and bodies stay with their exchange; the lanes hold whose turn it is. An id whose exchange is gone is skipped.
#[derive(Debug)]
pub(crate) struct Lanes<F> {
    control: VecDeque<F>,
    /// One slot, not a queue: whoever floods us with PINGs gets the last one answered.
    pong: Option<Bytes>,
    /// What a PONG says besides.
    reconnect_spread_ms: u32,
    heads: VecDeque<Uuid>,
    bodies: VecDeque<Uuid>,
}

/// What leaves next.
#[derive(Debug)]
pub(crate) enum Next<F> {
    Control(F),
    Head(Uuid),
    Body(Uuid),
}

impl<F: Frame> Lanes<F> {
    pub(crate) fn new() -> Self {
        Self {
            control: VecDeque::new(),
            pong: None,
            reconnect_spread_ms: 0,
            heads: VecDeque::new(),
            bodies: VecDeque::new(),
        }
    }

    pub(crate) fn push_control(&mut self, frame: F) {
        self.control.push_back(frame);
    }

    pub(crate) fn push_pong(&mut self, payload: Bytes) {
        self.pong = Some(payload);
    }

    pub(crate) fn advise_reconnect_spread(&mut self, reconnect_spread_ms: u32) {
        self.reconnect_spread_ms = reconnect_spread_ms;
    }

    pub(crate) fn push_head(&mut self, id: Uuid) {
        self.heads.push_back(id);
    }

    /// Gives an exchange its next turn. It must not be in line already.
    pub(crate) fn push_body(&mut self, id: Uuid) {
        self.bodies.push_back(id);
    }

    pub(crate) fn next(&mut self) -> Option<Next<F>> {
        if let Some(payload) = self.pong.take() {
            return Some(Next::Control(ControlMessage::pong(payload, self.reconnect_spread_ms).into()));
        }
        if let Some(frame) = self.control.pop_front() {
            return Some(Next::Control(frame));
        }
        if let Some(id) = self.heads.pop_front() {
            return Some(Next::Head(id));
        }
        self.bodies.pop_front().map(Next::Body)
    }

    pub(crate) fn control_len(&self) -> usize {
        self.control.len()
    }
}
