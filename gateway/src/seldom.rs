use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often the same thing is said.
const INTERVAL: Duration = Duration::from_secs(1);

/// For what may happen very often and should be logged at most once a second.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    /// Whether it may be said now.
    pub(crate) fn now(&self) -> bool {
        self.at(link::now())
    }

    fn at(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if may {
            *last = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_second_and_no_more() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        assert!(seldom.at(now));
        assert!(!seldom.at(now + INTERVAL / 2));
        assert!(seldom.at(now + INTERVAL));
        assert!(!seldom.at(now + INTERVAL));
    }
}
