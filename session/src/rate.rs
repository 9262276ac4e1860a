//! How often somebody may ask. Synchronous, with the time as an argument.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

/// Requests per second in the long run, and how many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Written")]
pub struct Rate {
    per_second: f64,
    burst: u32,
}

/// A rate as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    per_second: f64,
    burst: Option<u32>,
}

/// A rate that cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rate needs per_second between 0.0001 and 1000000, and a burst of at least 1")]
pub struct InvalidRate;

impl Rate {
    /// A rate between one request in some hours and a million a second.
    ///
    /// # Errors
    /// [`InvalidRate`].
    pub fn new(per_second: f64, burst: u32) -> Result<Self, InvalidRate> {
        let possible = (0.0001..=1e6).contains(&per_second) && burst > 0;
        possible.then_some(Self { per_second, burst }).ok_or(InvalidRate)
    }

    /// Nanoseconds from one request to the next.
    fn interval(self) -> u64 {
        (1e9 / self.per_second) as u64
    }

    /// By how much a key may be ahead of its time.
    fn tolerance(self) -> u64 {
        self.interval().saturating_mul(u64::from(self.burst) - 1)
    }
}

impl TryFrom<Written> for Rate {
    type Error = InvalidRate;

    fn try_from(Written { per_second, burst }: Written) -> Result<Self, InvalidRate> {
        // A second's worth, which a page with its pictures takes at once.
        Self::new(per_second, burst.unwrap_or(per_second.ceil().max(1.0) as u32))
    }
}

/// Slots of one set. A key can be in one set only.
const WAYS: usize = 8;
/// 65536 keys in one MiB, whoever comes.
const SETS: usize = 8192;

/// Who has asked how often of late, for every rate there is. The room is fixed: where it is full, the key is forgotten that
/// would be free again the soonest.
#[derive(Debug)]
pub struct Limiter {
    /// With keys of its own, so that nobody can choose addresses that meet in one set.
    hasher: RandomState,
    epoch: Instant,
    /// Made for the first key.
    sets: OnceLock<Box<[Mutex<Set>]>>,
}

type Set = [Slot; WAYS];

/// A key, and until when its past requests count (GCRA: the time at which all of them would have come evenly).
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    until: u64,
}

/// What a key was found to be allowed.
struct Look<'a> {
    set: MutexGuard<'a, Set>,
    slot: usize,
    key: u64,
    verdict: Result<u64, Duration>,
}

impl Limiter {
    /// A limiter that has seen nobody; no time may come before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self { hasher: RandomState::new(), epoch, sets: OnceLock::new() }
    }

    /// Counts one request of `key`.
    ///
    /// # Errors
    /// How long it must wait, if it comes too soon. It is not counted then.
    pub fn take(&self, key: impl Hash, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut look = self.look(key, rate, now);
        let until = look.verdict?;
        look.set[look.slot] = Slot { key: look.key, until };
        Ok(())
    }

    /// Whether a request of `key` would be allowed, without counting it.
    ///
    /// # Errors
    /// As for [`Limiter::take`].
    pub fn check(&self, key: impl Hash, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.look(key, rate, now).verdict.map(drop)
    }

    fn look(&self, key: impl Hash, rate: Rate, now: Instant) -> Look<'_> {
        let key = self.hasher.hash_one(key);
        let set = &self.sets()[key as usize % SETS];
        let set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let (slot, until) = find(&set, key);
        let now = u64::try_from(now.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX);
        let until = until.max(now);
        let ahead = until - now;
        let verdict = match ahead.checked_sub(rate.tolerance()) {
            None | Some(0) => Ok(until.saturating_add(rate.interval())),
            Some(wait) => Err(Duration::from_nanos(wait)),
        };
        Look { set, slot, key, verdict }
    }

    fn sets(&self) -> &[Mutex<Set>] {
        self.sets.get_or_init(|| (0..SETS).map(|_| Mutex::default()).collect())
    }
}

/// The slot of `key`, or the one to give up for it, and until when the past of `key` counts.
fn find(set: &Set, key: u64) -> (usize, u64) {
    if let Some(slot) = set.iter().position(|slot| slot.key == key) {
        return (slot, set[slot].until);
    }
    let soonest = (0..WAYS).min_by_key(|slot| set[*slot].until).unwrap_or_default();
    (soonest, 0)
}

/// What counts as one client: an IPv4 address, or the network that a subscriber has in IPv6.
pub fn client_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(per_second: f64, burst: u32) -> Rate {
        Rate::new(per_second, burst).unwrap()
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let epoch = Instant::now();
        let limiter = Limiter::new(epoch);
        let rate = rate(10.0, 3);
        let at = |millis| epoch + Duration::from_millis(millis);
        for _ in 0..3 {
            assert_eq!(limiter.take("a", rate, at(5)), Ok(()));
        }
        assert_eq!(limiter.take("a", rate, at(5)), Err(Duration::from_millis(100)));
        assert_eq!(
            limiter.take("a", rate, at(65)),
            Err(Duration::from_millis(40)),
            "a refusal costs nothing"
        );
        assert_eq!(limiter.take("a", rate, at(105)), Ok(()));
        assert_eq!(limiter.take("a", rate, at(106)), Err(Duration::from_millis(99)));
    }

    #[test]
    fn in_the_long_run_the_rate_is_kept() {
        let epoch = Instant::now();
        let limiter = Limiter::new(epoch);
        let rate = rate(50.0, 5);
        let taken = (0..10_000)
            .filter(|millis| limiter.take("a", rate, epoch + Duration::from_millis(*millis)).is_ok());
        let taken = taken.count();
        assert!((500..=505).contains(&taken), "{taken} in ten seconds");
    }

    #[test]
    fn keys_do_not_touch_each_other() {
        let epoch = Instant::now();
        let limiter = Limiter::new(epoch);
        let rate = rate(1.0, 1);
        assert_eq!(limiter.take("a", rate, epoch), Ok(()));
        assert!(limiter.take("a", rate, epoch).is_err());
        assert_eq!(limiter.take("b", rate, epoch), Ok(()));
    }

    #[test]
    fn looking_counts_nothing() {
        let epoch = Instant::now();
        let limiter = Limiter::new(epoch);
        let rate = rate(1.0, 1);
        for _ in 0..5 {
            assert_eq!(limiter.check("a", rate, epoch), Ok(()));
        }
        assert_eq!(limiter.take("a", rate, epoch), Ok(()));
        assert_eq!(limiter.check("a", rate, epoch), Err(Duration::from_secs(1)));
    }

    #[test]
    fn a_full_set_forgets_who_would_be_free_the_soonest() {
        let mut set = Set::default();
        for (slot, until) in (0..).zip([50, 40, 30, 20, 10, 60, 70, 80]) {
            set[slot] = Slot { key: until, until };
        }
        assert_eq!(find(&set, 60), (5, 60));
        assert_eq!(find(&set, 1), (4, 0));
    }

    #[test]
    fn a_flood_of_keys_is_bounded_and_harms_the_next_one_not() {
        let epoch = Instant::now();
        let limiter = Limiter::new(epoch);
        for key in 0..200_000u32 {
            assert_eq!(limiter.take(key, rate(1.0, 1), epoch), Ok(()));
        }
        assert_eq!(limiter.sets().len() * WAYS, 65_536);
        assert_eq!(limiter.take("a", rate(1.0, 1), epoch), Ok(()));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn a_rate_in_a_file() {
        let parse = |text: &str| toml::from_str::<Rate>(text).map_err(|error| error.message().to_owned());
        assert_eq!(parse("per_second = 10\nburst = 20"), Ok(rate(10.0, 20)));
        assert_eq!(parse("per_second = 2.5"), Ok(rate(2.5, 3)));
        assert_eq!(parse("per_second = 0.1"), Ok(rate(0.1, 1)));
        for text in [
            "per_second = 0",
            "per_second = -1",
            "per_second = nan",
            "per_second = 1\nburst = 0",
            "burst = 1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("per_second = 1\nbrust = 2").unwrap_err().contains("brust"));
    }
}
