//! At which age something on the way cuts links, so that they can be replaced ahead of it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Ages of links that died without a goodbye, and what follows from them.
///
/// ```text
///  Nothing known --two ages agree--> Learned: links are replaced at three quarters of that age
///  Learned --trust is used up--> one link is let grow old
///      it dies at that age as well       --> Learned, and trusted twice as long
///      it lives to twice that age        --> Nothing known
/// ```
/// Links that die at the same moment have died of the same cause, and not of their age, unless their ages agree better than
/// their moments do: links of one agent never begin together.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    deaths: VecDeque<Death>,
    learned: Option<Learned>,
}

#[derive(Clone, Copy, Debug)]
struct Death {
    age: Duration,
    at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    age: Duration,
    trust: Duration,
    trusted_until: Instant,
}

/// What is to be done with a new link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Nothing is known that speaks against its growing old.
    Keep,
    /// Replace it at this age.
    Rotate(Duration),
    /// Let it grow to this age, to see whether links are cut still.
    Probe(Duration),
}

/// A link that dies younger than this has another reason than its age.
const YOUNGEST: Duration = Duration::from_secs(4);
/// Ages that are kept.
const DEATHS: usize = 8;
/// Deaths this far apart have no cause in common but their age.
const APART: Duration = Duration::from_secs(2);
/// Deaths less than this apart are at the same moment.
const ONE_MOMENT: Duration = Duration::from_millis(200);
/// For how long what was learned is believed at first, and at most.
const TRUST: Duration = Duration::from_secs(15 * 60);
const LONGEST_TRUST: Duration = Duration::from_secs(24 * 60 * 60);

impl Ages {
    /// A link died without a goodbye. Returns the age at which links are cut, if that is news.
    pub(crate) fn on_death(&mut self, age: Duration, now: Instant) -> Option<Duration> {
        if age < YOUNGEST {
            return None;
        }
        if let Some(learned) = &mut self.learned {
            if agree(age, learned.age) {
                learned.trust = (learned.trust * 2).min(LONGEST_TRUST);
                learned.trusted_until = now + learned.trust;
                learned.age = learned.age.min(age);
                return None;
            }
            if age > learned.age {
                // It lived longer than links were believed to.
                self.learned = None;
            }
        }
        let death = Death { age, at: now };
        let fellow = self.deaths.iter().rev().find(|fellow| agree(fellow.age, age) && death.is_apart(fellow));
        let age_of_both = fellow.map(|fellow| fellow.age.min(age));
        self.deaths.push_back(death);
        if self.deaths.len() > DEATHS {
            self.deaths.pop_front();
        }
        let age = age_of_both?;
        self.learned = Some(Learned { age, trust: TRUST, trusted_until: now + TRUST });
        Some(age)
    }

    /// A link reached the age that a [`Plan::Probe`] named: links are not cut any more. Returns whether that is news.
    pub(crate) fn on_outlived(&mut self) -> bool {
        self.deaths.clear();
        self.learned.take().is_some()
    }

    /// A link begins. `draw` is a number in 0..1, which keeps links from being replaced together.
    pub(crate) fn on_begun(&mut self, now: Instant, draw: f64) -> Plan {
        match &mut self.learned {
            None => Plan::Keep,
            Some(learned) if now >= learned.trusted_until => {
                // Only this one: the others go on being replaced, until it is known how this ends.
                learned.trusted_until = now + learned.trust;
                Plan::Probe(learned.age * 2)
            }
            Some(learned) => Plan::Rotate(learned.age.mul_f64(0.65 + 0.1 * draw)),
        }
    }
}

impl Death {
    /// Whether this one and an earlier one cannot have had one cause other than their age.
    fn is_apart(&self, earlier: &Self) -> bool {
        let apart = self.at.saturating_duration_since(earlier.at);
        apart >= APART || (apart >= ONE_MOMENT && apart > 4 * self.age.abs_diff(earlier.age))
    }
}

/// Whether two ages are the same but for chance.
fn agree(one: Duration, other: Duration) -> bool {
    one.abs_diff(other) <= one.max(other).mul_f64(0.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Life {
        ages: Ages,
        start: Instant,
    }

    impl Life {
        fn new() -> Self {
            Self { ages: Ages::default(), start: Instant::now() }
        }

        fn dies(&mut self, at: f64, age: f64) -> Option<Duration> {
            self.ages.on_death(Duration::from_secs_f64(age), self.start + Duration::from_secs_f64(at))
        }

        fn plan(&mut self, at: f64) -> Plan {
            self.ages.on_begun(self.start + Duration::from_secs_f64(at), 1.0)
        }
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn two_deaths_at_one_age_are_a_lesson() {
        let mut life = Life::new();
        assert_eq!(life.dies(20.0, 20.0), None);
        assert_eq!(life.plan(20.0), Plan::Keep);
        assert_eq!(life.dies(41.0, 20.5), Some(seconds(20.0)));
        assert_eq!(life.plan(41.0), Plan::Rotate(seconds(15.0)));
        assert_eq!(life.dies(61.5, 20.2), None, "that is no news");
    }

    #[test]
    fn ages_that_differ_and_early_deaths_teach_nothing() {
        let mut life = Life::new();
        for (at, age) in [(10.0, 10.0), (40.0, 29.0), (47.0, 3.0), (60.0, 3.0), (600.0, 500.0)] {
            assert_eq!(life.dies(at, age), None);
        }
        assert_eq!(life.plan(700.0), Plan::Keep);
    }

    #[test]
    fn links_that_die_of_one_cause_teach_nothing() {
        let mut life = Life::new();
        assert_eq!(life.dies(300.0, 300.0), None);
        assert_eq!(life.dies(300.1, 299.4), None, "a gateway that crashed takes all of its links along");
        assert_eq!(life.plan(301.0), Plan::Keep);
    }

    #[test]
    fn two_links_of_one_age_that_die_one_after_the_other_are_a_lesson() {
        let mut life = Life::new();
        assert_eq!(life.dies(20.0, 20.0), None);
        assert_eq!(life.dies(20.6, 20.02), Some(seconds(20.0)));
    }

    #[test]
    fn links_that_began_together_and_die_together_teach_nothing() {
        let mut life = Life::new();
        assert_eq!(life.dies(20.0, 20.0), None);
        assert_eq!(life.dies(20.1, 20.01), None);
    }

    #[test]
    fn a_shorter_life_replaces_a_longer_one() {
        let mut life = Life::new();
        life.dies(60.0, 60.0);
        assert!(life.dies(121.0, 60.0).is_some());
        life.dies(140.0, 20.0);
        assert_eq!(life.dies(161.0, 20.0), Some(seconds(20.0)));
        assert_eq!(life.plan(161.0), Plan::Rotate(seconds(15.0)));
    }

    #[test]
    fn what_was_learned_is_tried_now_and_then_and_forgotten_if_it_is_over() {
        let mut life = Life::new();
        life.dies(20.0, 20.0);
        life.dies(40.0, 20.0);
        assert_eq!(life.plan(939.0), Plan::Rotate(seconds(15.0)));
        assert_eq!(life.plan(940.0), Plan::Probe(seconds(40.0)));
        assert_eq!(life.plan(941.0), Plan::Rotate(seconds(15.0)), "one at a time");
        assert_eq!(life.dies(960.0, 20.0), None);
        assert_eq!(life.plan(960.0 + 1799.0), Plan::Rotate(seconds(15.0)), "trusted twice as long");
        assert_eq!(life.plan(960.0 + 1800.0), Plan::Probe(seconds(40.0)));
        assert!(life.ages.on_outlived());
        assert!(!life.ages.on_outlived());
        assert_eq!(life.plan(3000.0), Plan::Keep);
    }

    #[test]
    fn a_link_that_dies_much_older_contradicts_what_was_learned() {
        let mut life = Life::new();
        life.dies(20.0, 20.0);
        life.dies(40.0, 20.0);
        assert_eq!(life.dies(400.0, 300.0), None);
        assert_eq!(life.plan(401.0), Plan::Keep);
    }
}
