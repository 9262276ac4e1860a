//! This host's clock, and how far it is from the gateway's.

use std::{
    fmt,
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// This host's clock, corrected by what a gateway proved.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// What to add to get the gateway's time, in milliseconds.
    offset_ms: AtomicI64,
}

/// What this host's clock lacks to show the gateway's time, in milliseconds. Negative where it is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Skew(i64);

impl Clock {
    /// Milliseconds since the Unix epoch, as the gateway counts them.
    pub(crate) fn unix_millis(&self) -> i64 {
        unix_millis().saturating_add(self.offset_ms.load(Relaxed))
    }

    /// Takes the gateway's word for what time it is. Only for a time that was proved to be the gateway's.
    pub(crate) fn correct(&self, skew: Skew) {
        self.offset_ms.store(skew.0, Relaxed);
    }
}

impl Skew {
    /// How far this host's own clock is from `server_time` now.
    pub(crate) fn from(server_time: i64) -> Self {
        Self(server_time.saturating_sub(unix_millis()))
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let distance = Duration::from_secs(self.0.unsigned_abs() / 1000);
        let direction = if self.0 < 0 { "ahead of" } else { "behind" };
        write!(
            f,
            "this host's clock is {} {direction} the gateway's; let NTP set it, e.g. with `timedatectl set-ntp true`",
            humantime::format_duration(distance)
        )
    }
}

fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_says_how_far_and_in_which_direction() {
        assert!(Skew(200_900).to_string().starts_with("this host's clock is 3m 20s behind the gateway's"));
        assert!(Skew(-3_600_000).to_string().starts_with("this host's clock is 1h ahead of the gateway's"));
        assert!(Skew(i64::MIN).to_string().contains("NTP"));
    }

    #[test]
    fn a_corrected_clock_shows_the_gateways_time() {
        let clock = Clock::default();
        let theirs = unix_millis() + 7_200_000;
        clock.correct(Skew::from(theirs));
        assert!((clock.unix_millis() - theirs).abs() < 60_000);
    }
}
