//! What goes wrong, chosen by a seed.

use std::{fmt, time::Duration};

use rand::{RngExt as _, rngs::StdRng};

/// The longest pause between two faults, and the longest that a fault lasts: more than it takes to be noticed.
const MOST_CALM: u64 = 1500;
const LONGEST: u64 = 5000;

/// One thing that goes wrong. Numbers choose among what there is at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The gateway is replaced by a new process.
    RestartGateway,
    /// It is killed, and started again.
    KillGateway,
    /// It stands still for a while.
    FreezeGateway(Duration),
    /// An agent is replaced by a new process.
    RestartAgent(usize),
    /// It is killed, and started again after a while.
    KillAgent(usize, Duration),
    /// It stands still for a while.
    FreezeAgent(usize, Duration),
    /// A link breaks.
    Cut(usize),
    /// All of them do.
    CutAll,
    /// Nothing passes on a link any more, and nobody is told.
    Hold(usize),
    /// All links are slow for a while.
    Slow(Duration),
    /// So many connections to the agents' port say nothing for a while.
    Strangers(usize, Duration),
}

impl Fault {
    /// The next one, and how long to wait before it.
    pub(crate) fn next(rng: &mut StdRng, gateway_may_go: bool) -> (Duration, Self) {
        let calm = Duration::from_millis(rng.random_range(100..MOST_CALM));
        let lasts = Duration::from_millis(rng.random_range(100..LONGEST));
        let number = rng.random_range(0..1000);
        let fault = match rng.random_range(if gateway_may_go { 0..100 } else { 25..100 }) {
            0..15 => Self::RestartGateway,
            15..25 => Self::KillGateway,
            25..30 => Self::FreezeGateway(lasts),
            30..42 => Self::RestartAgent(number),
            42..54 => Self::KillAgent(number, lasts),
            54..62 => Self::FreezeAgent(number, lasts),
            62..75 => Self::Cut(number),
            75..80 => Self::CutAll,
            80..90 => Self::Hold(number),
            90..95 => Self::Slow(lasts),
            _ => Self::Strangers(50 + number / 5, lasts),
        };
        (calm, fault)
    }

    /// How many of each there were is told by these names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RestartGateway => "gateway restarted",
            Self::KillGateway => "gateway killed",
            Self::FreezeGateway(_) => "gateway frozen",
            Self::RestartAgent(_) => "agent restarted",
            Self::KillAgent(..) => "agent killed",
            Self::FreezeAgent(..) => "agent frozen",
            Self::Cut(_) => "link cut",
            Self::CutAll => "all links cut",
            Self::Hold(_) => "link held",
            Self::Slow(_) => "links slow",
            Self::Strangers(..) => "strangers",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::RestartAgent(number) | Self::Cut(number) | Self::Hold(number) => write!(f, " #{number}"),
            Self::KillAgent(number, lasts) | Self::FreezeAgent(number, lasts) => {
                write!(f, " #{number} for {lasts:?}")
            }
            Self::FreezeGateway(lasts) | Self::Slow(lasts) => write!(f, " for {lasts:?}"),
            Self::Strangers(count, lasts) => write!(f, ": {count} for {lasts:?}"),
            Self::RestartGateway | Self::KillGateway | Self::CutAll => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::*;

    fn faults(seed: u64, gateway_may_go: bool) -> Vec<Fault> {
        let mut rng = StdRng::seed_from_u64(seed);
        (0..500).map(|_| Fault::next(&mut rng, gateway_may_go).1).collect()
    }

    #[test]
    fn a_seed_gives_the_same_faults_again() {
        assert_eq!(faults(7, true), faults(7, true));
        assert_ne!(faults(7, true), faults(8, true));
    }

    #[test]
    fn everything_goes_wrong_and_the_gateway_only_where_it_may() {
        let names = |gateway| faults(1, gateway).into_iter().map(Fault::name).collect::<HashSet<_>>();
        assert_eq!((names(true).len(), names(false).len()), (11, 9));
        assert!(!names(false).contains(Fault::KillGateway.name()));
    }
}
