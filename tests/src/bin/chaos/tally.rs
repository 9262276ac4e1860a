//! What became of every request, in numbers, as a table and as JSON.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::{
    ask::{Ask, Outcome, Stage},
    kind::Kind,
};

/// Failures that are told one by one.
const TOLD: usize = 200;

/// Counts outcomes.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Requests that were begun.
    pub(crate) asked: u64,
    counts: BTreeMap<(Kind, Outcome), u64>,
    slowest: BTreeMap<Kind, Duration>,
    small: Vec<Duration>,
    failures: Vec<Failure>,
    /// Those of them that broke a promise.
    broken: Vec<Failure>,
}

/// A request that did not end with its whole answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failure {
    /// Seconds after the load began at which the request began and ended.
    pub(crate) begun: f64,
    pub(crate) ended: f64,
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    /// Whether the connection was to be kept.
    pub(crate) keep: bool,
    pub(crate) outcome: String,
}

/// What a program reads.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    asked: u64,
    ended: u64,
    whole: u64,
    failed: u64,
    /// Of those that failed: bodies that are not the right ones and ended as if they were.
    wrong: u64,
    /// Of those that failed: no outcome within the time.
    silent: u64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// By kind and outcome.
    outcomes: BTreeMap<String, u64>,
    /// The longest that a client of each kind waited for its outcome, s.
    slowest: BTreeMap<&'static str, f64>,
    /// The first of them.
    failures: Vec<Failure>,
}

impl Tally {
    pub(crate) fn ended(&mut self, ask: &Ask, outcome: Outcome, begun: Duration, ended: Duration) {
        let took = ended.saturating_sub(begun);
        let slowest = self.slowest.entry(ask.kind).or_default();
        *slowest = took.max(*slowest);
        if ask.kind == Kind::Small && outcome == Outcome::Whole {
            self.small.push(took);
        }
        let told = if outcome.breaks_a_promise() { &mut self.broken } else { &mut self.failures };
        if outcome.failed() && told.len() < TOLD {
            told.push(Failure {
                begun: begun.as_secs_f64(),
                ended: ended.as_secs_f64(),
                kind: ask.kind.label(),
                id: ask.id.clone(),
                keep: ask.keep,
                outcome: outcome.to_string(),
            });
        }
        *self.counts.entry((ask.kind, outcome)).or_default() += 1;
    }

    /// Requests whose outcome is known.
    pub(crate) fn known(&self) -> u64 {
        self.counts.values().sum()
    }

    /// How many have an outcome of this sort.
    pub(crate) fn count(&self, wanted: impl Fn(&Outcome) -> bool) -> u64 {
        self.counts.iter().filter(|((_, outcome), _)| wanted(outcome)).map(|(_, count)| count).sum()
    }

    /// Those that broke a promise: a wrong body, or none within the time.
    pub(crate) fn broken(&self) -> u64 {
        self.count(Outcome::breaks_a_promise)
    }

    /// Those of them that are told one by one.
    pub(crate) fn told(&self) -> &[Failure] {
        &self.broken
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut small = self.small.clone();
        small.sort_unstable();
        let at = |share: f64| {
            let index = ((small.len() as f64 * share) as usize).min(small.len().saturating_sub(1));
            small.get(index).map_or(0.0, |took| took.as_secs_f64() * 1e3)
        };
        Summary {
            asked: self.asked,
            ended: self.known(),
            whole: self.count(|outcome| *outcome == Outcome::Whole),
            failed: self.count(Outcome::failed),
            wrong: self.count(|outcome| matches!(outcome, Outcome::Wrong(_))),
            silent: self.count(|outcome| *outcome == Outcome::Silent),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            max_ms: at(1.0),
            outcomes: self
                .counts
                .iter()
                .map(|((kind, outcome), count)| (format!("{} {outcome}", kind.label()), *count))
                .collect(),
            slowest: self.slowest.iter().map(|(kind, took)| (kind.label(), took.as_secs_f64())).collect(),
            failures: self.broken.iter().chain(&self.failures).cloned().collect(),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>9}  {:8} outcome", "requests", "kind")?;
        for ((kind, outcome), count) in &self.counts {
            writeln!(f, "{count:>9}  {:8} {outcome}", kind.label())?;
        }
        write!(f, "{:>9}  asked, {} with an outcome", self.asked, self.known())
    }
}

impl Outcome {
    /// Whether the client did not get what it wanted.
    pub(crate) fn failed(&self) -> bool {
        !matches!(self, Self::Whole | Self::Left)
    }

    /// Whether no client may see it, whatever happens.
    fn breaks_a_promise(&self) -> bool {
        matches!(self, Self::Wrong(_) | Self::Silent)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => write!(f, "whole"),
            Self::Left => write!(f, "left"),
            Self::Status(status, code) => write!(f, "{status} {code}"),
            Self::Aborted(stage, why) => write!(f, "aborted {stage}: {why}"),
            Self::Wrong(what) => write!(f, "WRONG: {what}"),
            Self::Silent => write!(f, "SILENT"),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Reused => "before the head, on a kept connection",
            Self::Fresh => "before the head, on a new connection",
            Self::Body => "within the body",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_once() {
        let mut tally = Tally::default();
        let ask = Ask { kind: Kind::Small, id: "1".to_owned(), host: String::new(), keep: false };
        let second = Duration::from_secs(1);
        for outcome in
            [Outcome::Whole, Outcome::Whole, Outcome::Status(503, "overloaded".to_owned()), Outcome::Silent]
        {
            tally.asked += 1;
            tally.ended(&ask, outcome, second, second * 3);
        }
        let Summary { asked, ended, whole, failed, silent, .. } = tally.summary();
        assert_eq!((asked, ended, whole, failed, silent), (4, 4, 2, 2, 1));
        assert_eq!((tally.broken(), tally.told().len(), tally.failures.len()), (1, 1, 1));
        assert!((tally.summary().p99_ms - 2000.0).abs() < 1.0);
        assert!(tally.to_string().contains("503 overloaded"));
    }
}
