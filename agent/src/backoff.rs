use std::time::{Duration, Instant};

/// Pauses between attempts: full jitter under a bound that doubles. For the first half minute the bound stays at one
/// second, so that an agent is back right after its gateway is; then it goes on doubling to half a minute, so that a
/// gateway that stays away is not kept busy.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    since: Option<Instant>,
}

const FIRST: Duration = Duration::from_millis(250);
const EAGER: Duration = Duration::from_secs(1);
const EAGER_FOR: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(30);
/// A connection that lasted this long makes the past forgotten.
const GOOD: Duration = Duration::from_secs(60);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { failures: 0, since: None }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// A connection ended after `lasted`.
    pub(crate) fn on_connected_for(&mut self, lasted: Duration) {
        if lasted >= GOOD {
            *self = Self::new();
        } else {
            self.failures = 0;
        }
    }

    /// An attempt failed, or a connection was lost. Returns the pause; `draw` gives a number in 0..1.
    pub(crate) fn on_failure(&mut self, now: Instant, draw: impl FnOnce() -> f64) -> Duration {
        let since = *self.since.get_or_insert(now);
        let doubled = FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let eager = now.saturating_duration_since(since) < EAGER_FOR;
        doubled.min(if eager { EAGER } else { LONGEST }).mul_f64(draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_stay_eager_and_then_grow_on() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut backoff = Backoff::new();
        let bounds: Vec<u128> =
            [0, 1, 2, 3, 10, 29, 30, 40].map(|s| backoff.on_failure(at(s), || 1.0).as_millis()).to_vec();
        assert_eq!(bounds, [250, 500, 1000, 1000, 1000, 1000, 16_000, 30_000]);
        assert_eq!(backoff.failures(), 8);
    }

    #[test]
    fn the_pause_is_drawn_from_the_whole_range() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.on_failure(Instant::now(), || 0.0), Duration::ZERO);
        assert_eq!(backoff.on_failure(Instant::now(), || 0.5), Duration::from_millis(250));
    }

    #[test]
    fn a_good_connection_starts_afresh() {
        let start = Instant::now();
        let mut backoff = Backoff::new();
        for _ in 0..10 {
            backoff.on_failure(start, || 1.0);
        }
        backoff.on_connected_for(Duration::from_secs(60));
        assert_eq!(backoff.on_failure(start + Duration::from_secs(100), || 1.0), FIRST);
    }
}
