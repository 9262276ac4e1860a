use std::{
    fmt,
    time::{Duration, Instant},
};

/// The life of one link, as either end sees it.
///
/// ```text
///  Disconnected --dial--> Connecting --transport up--> Authenticating --accepted--> Ready --drain--> Draining
///       ^                     |                              |                        |                 |
///       +-------- lost -------+------------ lost ------------+--------- lost ---------+------ lost -----+
///
///  Ready looks like   Connected    nothing to do
///                     Processing   requests are in progress
///                     Heartbeat    a PING waits for its answer
/// ```
/// An agent begins as Disconnected. A gateway meets a link when its transport is up: it begins as Authenticating. What a
/// link that is Ready looks like follows from what is in progress on it; nothing is stored, so no request pays for it.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    stage: Stage,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Disconnected,
    Connecting,
    Authenticating,
    Ready,
    Draining,
}

/// What happens to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifeEvent {
    /// An attempt to reach the peer begins.
    Dial,
    /// The transport carries frames; the first one is on its way.
    TransportUp,
    /// The agent was accepted.
    Accepted,
    /// One of both takes no more requests on it.
    Drain,
    /// It is over, for whatever reason.
    Lost,
}

/// What a link looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// There is none.
    Disconnected,
    /// The transport is being set up.
    Connecting,
    /// The first frames are exchanged.
    Authenticating,
    /// Ready, with nothing to do.
    Connected,
    /// Requests are in progress.
    Processing,
    /// Quiet, and waiting to hear whether the peer is still there.
    Heartbeat,
    /// What is in progress ends; nothing new begins.
    Draining,
}

/// An event that cannot happen in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link that is {state} cannot see {event:?}")]
pub struct IllegalEvent {
    /// Where the link was, and still is.
    pub state: LinkState,
    /// What was said to have happened.
    pub event: LifeEvent,
}

impl Lifecycle {
    /// A link of an agent, before it is dialled.
    pub fn disconnected(now: Instant) -> Self {
        Self { stage: Stage::Disconnected, since: now }
    }

    /// A link that reached a gateway.
    pub fn authenticating(now: Instant) -> Self {
        Self { stage: Stage::Authenticating, since: now }
    }

    /// Takes note of an event.
    ///
    /// # Errors
    /// [`IllegalEvent`]; nothing has changed then.
    pub fn on(&mut self, event: LifeEvent, now: Instant) -> Result<(), IllegalEvent> {
        let next = match (self.stage, event) {
            (Stage::Disconnected, LifeEvent::Dial) => Stage::Connecting,
            (Stage::Connecting, LifeEvent::TransportUp) => Stage::Authenticating,
            (Stage::Authenticating, LifeEvent::Accepted) => Stage::Ready,
            (Stage::Ready | Stage::Draining, LifeEvent::Drain) => Stage::Draining,
            (stage, LifeEvent::Lost) if stage != Stage::Disconnected => Stage::Disconnected,
            _ => return Err(IllegalEvent { state: self.state(0, false), event }),
        };
        if next != self.stage {
            *self = Self { stage: next, since: now };
        }
        Ok(())
    }

    /// What the link looks like with so many exchanges in progress, and a PING unanswered or not.
    pub fn state(&self, in_progress: usize, pinged: bool) -> LinkState {
        match self.stage {
            Stage::Disconnected => LinkState::Disconnected,
            Stage::Connecting => LinkState::Connecting,
            Stage::Authenticating => LinkState::Authenticating,
            Stage::Ready if in_progress > 0 => LinkState::Processing,
            Stage::Ready if pinged => LinkState::Heartbeat,
            Stage::Ready => LinkState::Connected,
            Stage::Draining => LinkState::Draining,
        }
    }

    /// How long it has been where it is.
    pub fn lasts(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl LinkState {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Disconnected,
        Self::Connecting,
        Self::Authenticating,
        Self::Connected,
        Self::Processing,
        Self::Heartbeat,
        Self::Draining,
    ];

    /// The name in logs, metrics and `status`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Connecting => "connecting",
            Self::Authenticating => "authenticating",
            Self::Connected => "connected",
            Self::Processing => "processing",
            Self::Heartbeat => "heartbeat",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_goes_its_way() {
        let start = Instant::now();
        let mut life = Lifecycle::disconnected(start);
        for (event, state) in [
            (LifeEvent::Dial, LinkState::Connecting),
            (LifeEvent::TransportUp, LinkState::Authenticating),
            (LifeEvent::Accepted, LinkState::Connected),
            (LifeEvent::Drain, LinkState::Draining),
            (LifeEvent::Drain, LinkState::Draining),
            (LifeEvent::Lost, LinkState::Disconnected),
            (LifeEvent::Dial, LinkState::Connecting),
        ] {
            life.on(event, start).unwrap();
            assert_eq!(life.state(0, false), state);
        }
    }

    #[test]
    fn what_is_in_progress_shows_while_it_is_ready() {
        let mut life = Lifecycle::authenticating(Instant::now());
        assert_eq!(life.state(1, true), LinkState::Authenticating);
        life.on(LifeEvent::Accepted, Instant::now()).unwrap();
        assert_eq!(life.state(1, true), LinkState::Processing);
        assert_eq!(life.state(0, true), LinkState::Heartbeat);
        assert_eq!(life.state(0, false), LinkState::Connected);
    }

    #[test]
    fn illegal_events_are_typed_and_change_nothing() {
        let start = Instant::now();
        let mut life = Lifecycle::disconnected(start);
        for event in [LifeEvent::TransportUp, LifeEvent::Accepted, LifeEvent::Drain, LifeEvent::Lost] {
            let later = start + Duration::from_secs(1);
            assert_eq!(life.on(event, later), Err(IllegalEvent { state: LinkState::Disconnected, event }));
        }
        assert_eq!(life.lasts(start + Duration::from_secs(5)), Duration::from_secs(5));
        let told = life.on(LifeEvent::Drain, start).unwrap_err().to_string();
        assert_eq!(told, "a link that is disconnected cannot see Drain");
    }
}
