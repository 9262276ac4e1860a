use std::time::{Duration, Instant};

/// Silence after which a peer that owes us something is asked whether it is still there.
const EARLY: Duration = Duration::from_secs(5);

/// The agent's heartbeat: a PING after a quiet interval, and the end of patience some time after it. The agent pings
/// and not the gateway, since the state of a NAT is kept from inside.
///
/// While requests are in progress, silence is suspicious sooner. Costs nothing per frame but a store: ask
/// [`Heartbeat::deadline`] when to look again.
#[derive(Debug)]
pub struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    last_received: Instant,
    /// Whether a look after [`EARLY`] found nothing to worry about.
    looked: bool,
    /// When patience with an unanswered PING ends.
    gives_up: Option<Instant>,
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
        Self { interval, timeout, last_received: now, looked: false, gives_up: None }
    }

    /// Any frame arrived.
    pub fn on_received(&mut self, now: Instant) {
        self.last_received = now;
        self.looked = false;
        self.gives_up = None;
    }

    /// There is a reason to doubt that the peer is still there: the caller sends a PING now, and patience with it ends
    /// after `patience`, if not sooner.
    pub fn on_doubt(&mut self, patience: Duration, now: Instant) {
        let gives_up = now + patience.min(self.timeout);
        self.gives_up = Some(self.gives_up.map_or(gives_up, |sooner| sooner.min(gives_up)));
    }

    /// Whether a PING waits for its answer.
    pub fn is_waiting(&self) -> bool {
        self.gives_up.is_some()
    }

    /// When to call [`Heartbeat::on_deadline`] next.
    pub fn deadline(&self) -> Instant {
        let quiet = if self.looked { self.interval } else { self.interval.min(EARLY) };
        self.gives_up.unwrap_or(self.last_received + quiet)
    }

    /// Decides what to do at `now`; `busy` if requests are in progress.
    pub fn on_deadline(&mut self, busy: bool, now: Instant) -> Beat {
        if now < self.deadline() {
            return Beat::Wait;
        }
        if self.gives_up.is_some() {
            return Beat::Dead;
        }
        if !busy && now < self.last_received + self.interval {
            self.looked = true;
            return Beat::Wait;
        }
        self.gives_up = Some(now + self.timeout);
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

    fn beating() -> (Heartbeat, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let beat = Heartbeat::new(Duration::from_secs(20), Duration::from_secs(10), start);
        (beat, move |s| start + Duration::from_secs(s))
    }

    #[test]
    fn a_quiet_peer_is_pinged_and_then_given_up() {
        let (mut beat, at) = beating();
        assert_eq!(beat.deadline(), at(5));
        assert_eq!(beat.on_deadline(false, at(5)), Beat::Wait);
        assert_eq!(beat.deadline(), at(20));
        assert_eq!(beat.on_deadline(false, at(19)), Beat::Wait);
        assert_eq!(beat.on_deadline(false, at(20)), Beat::Ping);
        assert_eq!((beat.deadline(), beat.is_waiting()), (at(30), true));
        beat.on_received(at(25));
        assert_eq!(beat.on_deadline(false, at(30)), Beat::Wait);
        assert_eq!(beat.on_deadline(false, at(45)), Beat::Ping);
        assert_eq!(beat.on_deadline(false, at(55)), Beat::Dead);
    }

    #[test]
    fn a_quiet_peer_that_owes_an_answer_is_pinged_soon() {
        let (mut beat, at) = beating();
        assert_eq!(beat.on_deadline(true, at(5)), Beat::Ping);
        assert_eq!(beat.on_deadline(true, at(14)), Beat::Wait);
        assert_eq!(beat.on_deadline(true, at(15)), Beat::Dead);
    }

    #[test]
    fn a_doubt_shortens_patience_and_never_prolongs_it() {
        let (mut beat, at) = beating();
        beat.on_doubt(Duration::from_secs(3), at(1));
        assert_eq!(beat.deadline(), at(4));
        beat.on_doubt(Duration::from_secs(3), at(2));
        assert_eq!(beat.deadline(), at(4));
        assert_eq!(beat.on_deadline(false, at(4)), Beat::Dead);
        beat.on_received(at(4));
        beat.on_doubt(Duration::from_secs(60), at(5));
        assert_eq!(beat.deadline(), at(15));
    }

    #[test]
    fn frames_push_the_end_of_patience_back() {
        let start = Instant::now();
        let mut silence = Silence::new(Duration::from_secs(50), start);
        silence.on_received(start + Duration::from_secs(30));
        assert_eq!(silence.deadline(), start + Duration::from_secs(80));
    }
}
