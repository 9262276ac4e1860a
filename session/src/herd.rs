use std::time::Duration;

/// How fast agents may come back: one every two milliseconds.
const PACE: Duration = Duration::from_millis(2);
/// However many there are, none waits longer than this.
const LONGEST: Duration = Duration::from_secs(5);

/// Over how long so many sessions should spread their next links, if all have to be made at once. A few come back at once,
/// for their pace is theirs to keep.
pub(crate) fn spread(sessions: usize) -> Duration {
    PACE.saturating_mul(u32::try_from(sessions).unwrap_or(u32::MAX)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_there_are_the_wider_they_spread() {
        for (sessions, ms) in [(0, 0), (2, 4), (1_000, 2_000), (2_000, 4_000), (1_000_000, 5_000)] {
            assert_eq!(spread(sessions), Duration::from_millis(ms));
        }
    }
}
