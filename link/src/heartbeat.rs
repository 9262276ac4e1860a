use std::time::{Duration, Instant};

/// The agent's heartbeat: a PING after a quiet interval, and the end of patience some time after it. The agent pings
/// and not the gateway, since the state of a NAT is kept from inside.
///
/// Costs nothing per frame but a store: ask [`Heartbeat::deadline`] when to look again.
#[derive(Debug)]
pub struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    last_received: Instant,
    pinged: Option<Instant>,
}

/// What [`Heartbeat::on_deadline`] asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing: frames arrived meanwhile.
    Wait,
    /// Send a PING now.
    Ping,
    /// The peer is gone.
    Dead,
}

impl Heartbeat {
    /// Starts at `now`. The caller has applied its jitter to `interval`.
    pub fn new(interval: Duration, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, last_received: now, pinged: None }
    }

    /// Any frame arrived.
    pub fn on_received(&mut self, now: Instant) {
        self.last_received = now;
        self.pinged = None;
    }

    /// When to call [`Heartbeat::on_deadline`] next.
    pub fn deadline(&self) -> Instant {
        match self.pinged {
            Some(pinged) => pinged + self.timeout,
            None => self.last_received + self.interval,
        }
    }

    /// Decides what to do at `now`.
    pub fn on_deadline(&mut self, now: Instant) -> Beat {
        if now < self.deadline() {
            return Beat::Wait;
        }
        if self.pinged.is_some() {
            return Beat::Dead;
        }
        self.pinged = Some(now);
        Beat::Ping
    }
}

/// The gateway's patience: how long an agent may be silent.
#[derive(Debug)]
pub struct Silence {
    limit: Duration,
    last_received: Instant,
}

impl Silence {
    /// Starts at `now`.
    pub fn new(limit: Duration, now: Instant) -> Self {
        Self { limit, last_received: now }
    }

    /// Any frame arrived.
    pub fn on_received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// When silence will have lasted too long, if nothing arrives.
    pub fn deadline(&self) -> Instant {
        self.last_received + self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_peer_is_pinged_and_then_given_up() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut beat = Heartbeat::new(Duration::from_secs(20), Duration::from_secs(10), start);
        assert_eq!(beat.on_deadline(at(19)), Beat::Wait);
        assert_eq!(beat.on_deadline(at(20)), Beat::Ping);
        assert_eq!(beat.deadline(), at(30));
        beat.on_received(at(25));
        assert_eq!(beat.on_deadline(at(30)), Beat::Wait);
        assert_eq!(beat.on_deadline(at(45)), Beat::Ping);
        assert_eq!(beat.on_deadline(at(55)), Beat::Dead);
    }

    #[test]
    fn frames_push_the_end_of_patience_back() {
        let start = Instant::now();
        let mut silence = Silence::new(Duration::from_secs(50), start);
        silence.on_received(start + Duration::from_secs(30));
        assert_eq!(silence.deadline(), start + Duration::from_secs(80));
    }
}
