use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Requests that earn one repetition.
const PER_REPETITION: u32 = 5;
/// Repetitions that are saved up at most, and there at the beginning: as many as one lost link may ask for.
const SAVED: u32 = 1024;
/// Repetitions that are earned by time alone.
const PER_SECOND: u32 = 10;

/// How many requests may be sent again: a fifth of all, so that repetition cannot double the load on agents that are in
/// trouble already, with enough in reserve for the loss of a link.
#[derive(Debug)]
pub(super) struct Allowance {
    /// Requests since they were last counted.
    requests: AtomicU32,
    purse: Mutex<Purse>,
}

#[derive(Debug)]
struct Purse {
    left: u32,
    refilled: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { requests: AtomicU32::new(0), purse: Mutex::new(Purse { left: SAVED, refilled: now }) }
    }

    /// A request came.
    pub(super) fn on_request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// Takes one repetition, if there is one left.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut purse = self.purse.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = self.requests.swap(0, Relaxed);
        self.requests.fetch_add(requests % PER_REPETITION, Relaxed);
        let seconds = now.saturating_duration_since(purse.refilled).as_secs();
        purse.refilled += Duration::from_secs(seconds);
        let by_time = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(PER_SECOND);
        let earned = by_time.saturating_add(requests / PER_REPETITION);
        purse.left = purse.left.saturating_add(earned).min(SAVED);
        match purse.left.checked_sub(1) {
            Some(left) => {
                purse.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_earned_by_requests_and_by_time() {
        let start = Instant::now();
        let allowance = Allowance::new(start);
        let take = |count: u32, seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..count).filter(|_| allowance.take(now)).count()
        };
        assert_eq!(take(2_000, 0), SAVED as usize);
        (0..23).for_each(|_| allowance.on_request());
        assert_eq!(take(10, 0), 4);
        (0..2).for_each(|_| allowance.on_request());
        assert_eq!(take(10, 0), 1, "what is no whole repetition yet is kept");
        assert_eq!(take(100, 2), 20);
        assert_eq!(take(10_000, 1_000_000), SAVED as usize, "only so many are saved up");
    }
}
