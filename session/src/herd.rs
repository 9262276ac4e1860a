//! Agents that all come back at once would be a herd.

use std::time::Duration;

/// What each session adds, so that agents come back at 500 a second.
const PER_SESSION: Duration = Duration::from_millis(2);
/// Longest pause that is asked for.
const LONGEST: Duration = Duration::from_secs(5);

/// Over which time the agents of so many sessions should spread when they dial anew.
pub(crate) fn spread(sessions: usize) -> Duration {
    u32::try_from(sessions).map_or(LONGEST, |sessions| PER_SESSION.saturating_mul(sessions)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_come_at_once_and_many_one_after_the_other() {
        assert_eq!(spread(0), Duration::ZERO);
        assert_eq!(spread(5), Duration::from_millis(10));
        assert_eq!(spread(1000), Duration::from_secs(2));
        assert_eq!(spread(9000), LONGEST);
        assert_eq!(spread(usize::MAX), LONGEST);
    }
}
