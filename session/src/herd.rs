//! Agents that all come back at once would be a herd.

use std::time::Duration;

use proto::drain;

use crate::Registry;

/// What each session adds, so that agents come back at 500 a second.
const PER_SESSION: Duration = Duration::from_millis(2);
/// Longest pause that is asked for.
const LONGEST: Duration = Duration::from_secs(5);

/// Over which time the agents of so many sessions should spread when they dial anew.
pub(crate) fn spread(sessions: usize) -> Duration {
    u32::try_from(sessions).map_or(LONGEST, |sessions| PER_SESSION.saturating_mul(sessions)).min(LONGEST)
}

/// Tells every agent to make its next link, one after the other.
pub(crate) fn dismiss(registry: &Registry, reason: drain::Reason, deadline: Duration) {
    let sessions = registry.sessions();
    let spread = spread(sessions.len());
    for session in sessions {
        session.dismiss(reason, deadline, spread);
    }
}

/// When a session is old: at `age`, 20 % more or less, so that links which began together do not end together. `None` is
/// never.
pub(crate) fn age(age: Duration, random: u32) -> Option<Duration> {
    let share = f64::from(random) / f64::from(u32::MAX);
    (!age.is_zero()).then(|| age.mul_f64(0.8 + 0.4 * share))
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

    #[test]
    fn links_of_one_time_become_old_at_different_times() {
        let hour = Duration::from_secs(3600);
        assert_eq!(age(hour, 0), Some(hour.mul_f64(0.8)));
        assert_eq!(age(hour, u32::MAX), Some(hour.mul_f64(1.2)));
        assert_eq!(age(Duration::ZERO, 7), None);
    }
}
