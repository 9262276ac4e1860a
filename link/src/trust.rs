use std::time::{Duration, Instant};

/// How long a peer may say nothing, while something is expected of it, before it is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(1);
/// How long it may take to answer that before requests are better sent elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the peer is still there, while something is expected of it. A connection that was cut without a word looks like
/// a service that thinks; a PING, which overtakes everything, tells them apart in seconds.
///
/// ```text
///  Sure --quiet for 1 s, with exchanges in progress--> Asked --no frame for 2 s--> Suspect
///   ^                                                    |                            |
///   +-------------------- any frame ---------------------+----------------------------+
/// ```
#[derive(Debug)]
pub(crate) struct Trust {
    heard: Instant,
    asked: Option<Instant>,
}

/// What [`Trust::look`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The peer was heard of late, or nothing is expected of it.
    Sure,
    /// The peer must be asked now.
    Ask,
    /// The peer was asked and may still answer.
    Asked,
    /// The peer did not answer, for this long.
    Suspect(Duration),
}

impl Trust {
    pub(crate) fn new(now: Instant) -> Self {
        Self { heard: now, asked: None }
    }

    /// A frame arrived.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    /// Whether a PING waits for its answer.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Takes stock at `now`. After [`Doubt::Ask`] the peer counts as asked.
    pub(crate) fn look(&mut self, now: Instant, in_progress: bool) -> Doubt {
        match self.asked {
            None if in_progress && now.saturating_duration_since(self.heard) >= QUIET => {
                self.asked = Some(now);
                Doubt::Ask
            }
            None => Doubt::Sure,
            Some(asked) => match now.saturating_duration_since(asked) {
                waited if waited >= PATIENCE => Doubt::Suspect(waited),
                _ => Doubt::Asked,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_peer_is_asked_once_and_then_suspect_until_it_is_heard() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut trust = Trust::new(start);
        assert_eq!(trust.look(at(5_000), false), Doubt::Sure, "nothing is expected");
        trust.on_heard(at(5_000));
        assert_eq!(trust.look(at(5_999), true), Doubt::Sure);
        assert_eq!(trust.look(at(6_000), true), Doubt::Ask);
        assert_eq!(trust.look(at(7_999), true), Doubt::Asked);
        assert_eq!(trust.look(at(8_500), false), Doubt::Suspect(Duration::from_millis(2_500)));
        trust.on_heard(at(8_600));
        assert_eq!(trust.look(at(8_700), true), Doubt::Sure);
    }
}
