use std::time::{Duration, Instant};

/// Pauses between attempts: full jitter under a bound that doubles.
///
/// The first pause after a lost link is anywhere below the spread that the gateway advised, which grows with the number
/// of its agents: together they come back evenly. A single agent has a quarter of a second. For the first half minute
/// the bound stays at a second, or at that spread, so that an agent is back right after its gateway is; then it goes on
/// doubling to half a minute, so that a gateway that stays away is not kept busy.
#[derive(Debug)]
pub(crate) struct Backoff {
    /// How often the bound was doubled.
    doublings: u32,
    attempts: u32,
    since: Option<Instant>,
    spread: Duration,
}

const FIRST: Duration = Duration::from_millis(250);
const EAGER: Duration = Duration::from_secs(1);
const EAGER_FOR: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(30);
/// A spread beyond this would be an outage of its own.
const LONGEST_SPREAD: Duration = Duration::from_secs(300);
/// A connection that lasted this long makes the past forgotten.
const GOOD: Duration = Duration::from_secs(60);
/// One that was over sooner than this was none.
const HASTY: Duration = Duration::from_secs(1);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { doublings: 0, attempts: 0, since: None, spread: Duration::ZERO }
    }

    /// Attempts that failed since the last that did not.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The gateway says how widely its agents shall spread.
    pub(crate) fn on_advice(&mut self, spread: Duration) {
        self.spread = spread.min(LONGEST_SPREAD);
    }

    /// A connection ended after `lasted`.
    pub(crate) fn on_connected_for(&mut self, lasted: Duration) {
        self.attempts = 0;
        if lasted >= GOOD {
            self.since = None;
        }
        if lasted >= HASTY {
            self.doublings = 0;
        }
    }

    /// A connection was lost. Returns the pause; `draw` gives a number in 0..1.
    pub(crate) fn on_lost(&mut self, now: Instant, draw: impl FnOnce() -> f64) -> Duration {
        let since = *self.since.get_or_insert(now);
        let first = FIRST.max(self.spread);
        let doubled = first.saturating_mul(1 << self.doublings.min(16));
        self.doublings = self.doublings.saturating_add(1);
        let eager = now.saturating_duration_since(since) < EAGER_FOR;
        let bound = if eager { EAGER } else { LONGEST };
        doubled.min(bound.max(self.spread)).mul_f64(draw())
    }

    /// An attempt failed. Returns the pause.
    pub(crate) fn on_failure(&mut self, now: Instant, draw: impl FnOnce() -> f64) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        self.on_lost(now, draw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(backoff: &mut Backoff, seconds: &[u64]) -> Vec<u128> {
        let start = Instant::now();
        let at = |s: &u64| start + Duration::from_secs(*s);
        seconds.iter().map(|s| backoff.on_failure(at(s), || 1.0).as_millis()).collect()
    }

    #[test]
    fn pauses_double_stay_eager_and_then_grow_on() {
        let mut backoff = Backoff::new();
        let bounds = bounds(&mut backoff, &[0, 1, 2, 3, 10, 29, 30, 40]);
        assert_eq!(bounds, [250, 500, 1000, 1000, 1000, 1000, 16_000, 30_000]);
        assert_eq!(backoff.attempts(), 8);
    }

    #[test]
    fn a_spread_that_the_gateway_advised_is_the_first_bound_and_the_eager_one() {
        let mut backoff = Backoff::new();
        backoff.on_advice(Duration::from_secs(4));
        assert_eq!(bounds(&mut backoff, &[0, 1, 29, 30, 40]), [4000, 4000, 4000, 30_000, 30_000]);
        let mut backoff = Backoff::new();
        backoff.on_advice(Duration::from_millis(600));
        assert_eq!(bounds(&mut backoff, &[0, 1, 29]), [600, 1000, 1000]);
        backoff.on_advice(Duration::MAX);
        assert_eq!(bounds(&mut backoff, &[0]), [300_000]);
    }

    #[test]
    fn the_pause_is_drawn_from_the_whole_range() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.on_failure(Instant::now(), || 0.0), Duration::ZERO);
        assert_eq!(backoff.on_failure(Instant::now(), || 0.5), Duration::from_millis(250));
    }

    /// A thousand agents lose their gateway at the same moment, which advised them to spread over four seconds.
    #[test]
    fn agents_that_lose_their_gateway_together_do_not_come_back_together() {
        let now = Instant::now();
        let mut per_slice = [0; 20];
        for number in 0..1000 {
            let mut backoff = Backoff::new();
            backoff.on_advice(Duration::from_secs(4));
            // The golden ratio's multiples are spread as evenly as numbers in a row can be.
            let drawn = (f64::from(number) * 0.618_033_988_749_895).fract();
            let pause = backoff.on_lost(now, || drawn);
            per_slice[(pause.as_millis() / 200) as usize] += 1;
        }
        assert!(per_slice.iter().all(|count| (45..=55).contains(count)), "{per_slice:?}");
    }

    #[test]
    fn a_good_connection_starts_afresh() {
        let start = Instant::now();
        let mut backoff = Backoff::new();
        for _ in 0..10 {
            backoff.on_failure(start, || 1.0);
        }
        backoff.on_connected_for(Duration::from_secs(60));
        assert_eq!(backoff.attempts(), 0);
        assert_eq!(backoff.on_lost(start + Duration::from_secs(100), || 1.0), FIRST);
    }

    #[test]
    fn connections_that_are_cut_at_once_are_no_success() {
        let mut backoff = Backoff::new();
        let mut pause_after = |lasted: u64| {
            backoff.on_connected_for(Duration::from_millis(lasted));
            backoff.on_lost(Instant::now(), || 1.0).as_millis()
        };
        assert_eq!([10, 10, 10, 1000].map(&mut pause_after), [250, 500, 1000, 250]);
    }
}
