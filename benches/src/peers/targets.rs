//! The figures that the tunnel is meant to reach, each as a bound on what it has for one that somebody else has.

use super::{
    cases::{BESIDE, CONNECT, Case, DOWN_1, DOWN_8, GET_1, GET_64, HERD, MEDIUM_16, MEMORY, UP_1, UP_4},
    contenders::{BORE, FRP, NGINX, OURS, RATHOLE, TWO_HYPER, WSTUNNEL},
    ledger::Ledger,
    metrics::{AGENT_MIB, IDLE_AGENT_KIB, P99_BULK, SLOW_RATIO},
};
use crate::{
    Metric,
    figures::{BOTH_GIB, BOTH_US, MIB, P50, REQUESTS},
    stats::rounded,
};

/// A figure to reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) what: &'static str,
    case: Case,
    metric: Metric,
    bound: Bound,
    measure: Measure,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    Least(f64),
    Most(f64),
}

/// What a bound counts in.
#[derive(Clone, Copy, Debug)]
enum Measure {
    /// What this contender has.
    Times(&'static str),
    /// The same, and what that one once had for one that bore had, to be used where it cannot be had. bore is the
    /// nearest in kind of those that always can: it, too, copies bytes and parses none.
    TimesOrOnce(&'static str, f64),
    /// The figure's own unit.
    Plain(&'static str),
}

/// How far ours is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) figure: String,
    /// None if it was not measured.
    pub(super) reached: Option<bool>,
}

/// Ratios between our transports may be this far from one.
const ALIKE: f64 = 1.15;

pub(super) const TARGETS: [Target; 20] = [
    target("CPU per request", GET_64, BOTH_US, Bound::Most(0.85), Measure::Times(RATHOLE)),
    target("CPU per request", GET_64, BOTH_US, Bound::Most(0.07), Measure::TimesOrOnce(FRP, 12.6)),
    target("requests per second", GET_64, REQUESTS, Bound::Least(1.0), Measure::Times(RATHOLE)),
    target("requests per second", GET_64, REQUESTS, Bound::Least(0.9), Measure::Times(NGINX)),
    target("p50", GET_1, P50, Bound::Most(1.0), Measure::Times(TWO_HYPER)),
    target("requests per second", CONNECT, REQUESTS, Bound::Least(1.0), Measure::Times(NGINX)),
    target("requests per second", CONNECT, REQUESTS, Bound::Least(2.5), Measure::Times(RATHOLE)),
    target("requests per second", MEDIUM_16, REQUESTS, Bound::Least(0.8), Measure::Times(NGINX)),
    target("MiB/s", DOWN_1, MIB, Bound::Least(1.0), Measure::TimesOrOnce(WSTUNNEL, 1.42)),
    target("CPU per GiB", DOWN_1, BOTH_GIB, Bound::Most(1.0), Measure::TimesOrOnce(WSTUNNEL, 0.56)),
    target("MiB/s", DOWN_8, MIB, Bound::Least(1.0), Measure::TimesOrOnce(WSTUNNEL, 1.27)),
    target("CPU per GiB", DOWN_8, BOTH_GIB, Bound::Most(1.0), Measure::TimesOrOnce(WSTUNNEL, 0.65)),
    target("MiB/s", UP_1, MIB, Bound::Least(1.0), Measure::TimesOrOnce(WSTUNNEL, 2.10)),
    target("CPU per GiB", UP_1, BOTH_GIB, Bound::Most(1.0), Measure::TimesOrOnce(WSTUNNEL, 0.43)),
    target("MiB/s", UP_4, MIB, Bound::Least(1.0), Measure::TimesOrOnce(WSTUNNEL, 1.65)),
    target("CPU per GiB", UP_4, BOTH_GIB, Bound::Most(1.0), Measure::TimesOrOnce(WSTUNNEL, 0.51)),
    target(
        "p99 beside a slow reader",
        BESIDE,
        SLOW_RATIO,
        Bound::Most(1.2),
        Measure::Plain("x what it is without"),
    ),
    target("p99 beside a download", BESIDE, P99_BULK, Bound::Most(1.0), Measure::Times(RATHOLE)),
    target("gateway", HERD, IDLE_AGENT_KIB, Bound::Most(40.0), Measure::Plain("KiB")),
    target("agent", MEMORY, AGENT_MIB, Bound::Most(10.0), Measure::Plain("MiB")),
];

const fn target(what: &'static str, case: Case, metric: Metric, bound: Bound, measure: Measure) -> Target {
    Target { what, case, metric, bound, measure }
}

impl Target {
    /// E.g. `Small GETs, one client: p50`.
    pub(super) fn title(&self) -> String {
        format!("{}: {}", self.case.name, self.what)
    }

    /// E.g. `at most 1.0 x rathole`.
    pub(super) fn bound(&self, ledger: &Ledger) -> String {
        let (word, value) = match self.bound {
            Bound::Least(value) => ("at least", value),
            Bound::Most(value) => ("at most", value),
        };
        match self.measure {
            Measure::Plain(unit) => format!("{word} {value} {unit}"),
            Measure::Times(contender) => format!("{word} {value} x {contender}"),
            Measure::TimesOrOnce(contender, _) if self.is_measured(ledger, contender) => {
                format!("{word} {value} x {contender}")
            }
            Measure::TimesOrOnce(contender, once) => {
                format!("{word} {value} x {contender}, which once had {once} x {BORE}")
            }
        }
    }

    /// How far the one of ours is that has this name.
    pub(super) fn outcome(&self, ledger: &Ledger, ours: &str) -> Outcome {
        let ratio = |contender| ledger.ratio(&self.case, self.metric, ours, contender);
        let summary = ledger.summary(&self.case, self.metric, ours);
        let figure = match self.measure {
            Measure::Plain(_) => summary.map(|summary| summary.median),
            Measure::Times(contender) => ratio(contender),
            Measure::TimesOrOnce(contender, once) => ratio(contender).or_else(|| Some(ratio(BORE)? / once)),
        };
        let Some((figure, summary)) = figure.zip(summary) else {
            return Outcome { figure: "not measured".to_owned(), reached: None };
        };
        let text = match self.measure {
            Measure::Plain(_) => rounded(figure),
            _ => format!("{figure:.2} x ({})", rounded(summary.median)),
        };
        Outcome { figure: text, reached: Some(self.bound.admits(figure)) }
    }

    fn is_measured(&self, ledger: &Ledger, contender: &str) -> bool {
        ledger.summary(&self.case, self.metric, contender).is_some()
    }
}

impl Bound {
    fn admits(self, value: f64) -> bool {
        match self {
            Self::Least(bound) => value >= bound,
            Self::Most(bound) => value <= bound,
        }
    }
}

/// What WebSocket has for one that gRPC has, and whether that is alike.
pub(super) fn between_transports(ledger: &Ledger, case: &Case, metric: Metric) -> Option<(f64, bool)> {
    let ratio = ledger.ratio(case, metric, OURS[1], OURS[0])?;
    Some((ratio, (1.0 / ALIKE..=ALIKE).contains(&ratio)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(case: Case, metric: Metric, wanted: fn(&Measure) -> bool) -> Target {
        let fits = |target: &&Target| {
            target.case.key == case.key && target.metric == metric && wanted(&target.measure)
        };
        *TARGETS.iter().find(fits).unwrap()
    }

    fn ledger(case: Case, metric: Metric, figures: &[(&'static str, f64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for (contender, value) in figures {
            ledger.add(&case, contender, 0, &[(metric, *value)]);
        }
        ledger
    }

    #[test]
    fn a_bound_counts_in_what_another_has() {
        let target = find(GET_1, P50, |_| true);
        let ledger = ledger(GET_1, P50, &[(OURS[0], 120.0), (OURS[1], 90.0), (TWO_HYPER, 100.0)]);
        assert_eq!(target.bound(&ledger), "at most 1 x two hyper proxies");
        let outcome = |figure: &str, reached| Outcome { figure: figure.to_owned(), reached };
        assert_eq!(target.outcome(&ledger, OURS[0]), outcome("1.20 x (120)", Some(false)));
        assert_eq!(target.outcome(&ledger, OURS[1]), outcome("0.90 x (90.0)", Some(true)));
        assert_eq!(target.outcome(&Ledger::default(), OURS[0]), outcome("not measured", None));
    }

    #[test]
    fn who_cannot_be_had_is_known_by_what_he_once_had() {
        let target = find(DOWN_1, MIB, |_| true);
        let absent = ledger(DOWN_1, MIB, &[(OURS[0], 1136.0), (BORE, 400.0)]);
        assert_eq!(target.outcome(&absent, OURS[0]).figure, "2.00 x (1136)");
        assert!(target.bound(&absent).contains("once"));
        let present = ledger(DOWN_1, MIB, &[(OURS[0], 1136.0), (BORE, 400.0), (WSTUNNEL, 1136.0)]);
        assert_eq!(target.outcome(&present, OURS[0]).figure, "1.00 x (1136)");
        assert!(!target.bound(&present).contains("once"));
    }

    #[test]
    fn transports_are_alike_within_a_margin_on_both_sides() {
        let alike = |grpc, ws| {
            let ledger = ledger(GET_1, P50, &[(OURS[0], grpc), (OURS[1], ws)]);
            between_transports(&ledger, &GET_1, P50).unwrap().1
        };
        assert!(alike(100.0, 114.0) && alike(114.0, 100.0));
        assert!(!alike(100.0, 116.0) && !alike(116.0, 100.0));
    }
}
