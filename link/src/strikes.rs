use std::time::Instant;

use proto::limits;

/// The peer broke the protocol more often than a link survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many protocol violations, the last one: {last}")]
pub struct TooManyViolations {
    /// What the peer did last.
    pub last: &'static str,
}

/// Counts violations over [`limits::STRIKE_PERIOD`].
#[derive(Debug, Default)]
pub(crate) struct Strikes {
    count: u32,
    since: Option<Instant>,
}

impl Strikes {
    /// Counts one violation of the given weight.
    pub(crate) fn add(
        &mut self,
        weight: u32,
        last: &'static str,
        now: Instant,
    ) -> Result<(), TooManyViolations> {
        let fresh =
            self.since.is_none_or(|since| now.saturating_duration_since(since) > limits::STRIKE_PERIOD);
        if fresh {
            self.count = 0;
            self.since = Some(now);
        }
        self.count += weight;
        if self.count >= limits::MAX_STRIKES { Err(TooManyViolations { last }) } else { Ok(()) }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}
