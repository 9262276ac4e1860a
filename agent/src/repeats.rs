//! What happens again and again, of which only some is worth a line of a log.

use std::time::{Duration, Instant};

/// How long the same is not said again.
const SAME: Duration = Duration::from_secs(60);

/// What was said last, and how often it came since.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// Something else is not said sooner than this behind the last line either.
    gap: Duration,
    last: Option<Said>,
}

#[derive(Debug)]
struct Said {
    text: String,
    at: Instant,
    unsaid: u64,
}

impl Repeats {
    pub(crate) fn new(gap: Duration) -> Self {
        Self { gap, last: None }
    }

    /// Whether `text` is worth a line now. Returns how often something was not, since the last line.
    pub(crate) fn note(&mut self, text: &str, now: Instant) -> Option<u64> {
        let Some(last) = &mut self.last else {
            self.last = Some(Said { text: text.to_owned(), at: now, unsaid: 0 });
            return Some(0);
        };
        let pause = if last.text == text { SAME } else { self.gap };
        if now.saturating_duration_since(last.at) < pause {
            last.unsaid = last.unsaid.saturating_add(1);
            return None;
        }
        let unsaid = last.unsaid;
        *last = Said { text: text.to_owned(), at: now, unsaid: 0 };
        Some(unsaid)
    }

    /// It is over: when it comes again it is the first time.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_what_is_new_and_one_a_minute_are_worth_a_line() {
        let start = Instant::now();
        let mut repeats = Repeats::new(Duration::ZERO);
        for (second, text, said) in [
            (0, "a", Some(0)),
            (1, "a", None),
            (2, "a", None),
            (2, "b", Some(2)),
            (3, "a", Some(0)),
            (4, "a", None),
            (63, "a", Some(1)),
        ] {
            assert_eq!(repeats.note(text, start + Duration::from_secs(second)), said, "{second} {text}");
        }
        repeats.forget();
        assert_eq!(repeats.note("a", start + Duration::from_secs(64)), Some(0));
    }

    #[test]
    fn what_changes_quickly_is_not_said_each_time() {
        let start = Instant::now();
        let mut repeats = Repeats::new(Duration::from_secs(1));
        let said = |(number, text): (u64, &&str)| {
            repeats.note(text, start + Duration::from_millis(100 * number)).is_some()
        };
        let lines = ["a", "b"].iter().cycle().take(31);
        let lines = (0..).zip(lines).map(said).filter(|said| *said).count();
        assert!((3..=4).contains(&lines), "{lines}");
    }
}
