use serde_json::{Map, Value, json};

use super::cases::Case;
use crate::{Metric, stats::median};

/// All figures of a run, each with where it belongs. Not everybody has a figure everywhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    case: &'static str,
    metric: Metric,
    contender: &'static str,
    round: u32,
    value: f64,
}

/// What the rounds of one contender come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Ledger {
    pub(super) fn add(
        &mut self,
        case: &Case,
        contender: &'static str,
        round: u32,
        figures: &[(Metric, f64)],
    ) {
        let entry = |&(metric, value)| Entry { case: case.key, metric, contender, round, value };
        self.entries.extend(figures.iter().map(entry));
    }

    pub(super) fn summary(&self, case: &Case, metric: Metric, contender: &str) -> Option<Summary> {
        let values: Vec<f64> = self.of(case, metric, contender).map(|entry| entry.value).collect();
        let (least, most) =
            (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        Some(Summary { median: median(&values), least, most })
    }

    /// The median over the rounds of what one has for one that the other has in the same round.
    ///
    /// The two of a round were measured within seconds, so noise that lasts longer than that cancels out.
    pub(super) fn ratio(&self, case: &Case, metric: Metric, contender: &str, base: &str) -> Option<f64> {
        let of_round = |round| self.of(case, metric, base).find(|entry| entry.round == round);
        let ratios: Vec<f64> = self
            .of(case, metric, contender)
            .filter_map(|entry| Some(entry.value / of_round(entry.round)?.value))
            .collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }

    /// Whether anybody has this figure.
    pub(super) fn has(&self, case: &Case, metric: Metric) -> bool {
        self.entries.iter().any(|entry| entry.case == case.key && entry.metric == metric)
    }

    /// `{case: {contender: {metric: {rounds}}}}`
    pub(super) fn json(&self) -> Value {
        let mut cases = Map::new();
        for Entry { case, contender, metric, value, .. } in &self.entries {
            let rounds = [*case, *contender, metric.key]
                .into_iter()
                .fold(&mut cases, |map, key| object(map.entry(key).or_insert_with(|| json!({}))))
                .entry("rounds")
                .or_insert_with(|| json!([]));
            rounds.as_array_mut().expect("rounds are an array").push(json!(value));
        }
        Value::Object(cases)
    }

    fn of(&self, case: &Case, metric: Metric, contender: &str) -> impl Iterator<Item = &Entry> {
        let (case, contender) = (case.key, contender.to_owned());
        self.entries
            .iter()
            .filter(move |entry| entry.case == case && entry.metric == metric && entry.contender == contender)
    }
}

fn object(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("only objects are made here")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        figures::{MIB, REQUESTS},
        peers::cases::{GET_1, GET_64},
    };

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for (round, (one, two)) in [(1.0, 2.0), (10.0, 20.0), (3.0, 9.0)].into_iter().enumerate() {
            ledger.add(&GET_1, "one", round as u32, &[(REQUESTS, one)]);
            ledger.add(&GET_1, "two", round as u32, &[(REQUESTS, two)]);
        }
        ledger
    }

    #[test]
    fn contenders_are_compared_within_a_round() {
        let ledger = ledger();
        let summary = Summary { median: 3.0, least: 1.0, most: 10.0 };
        assert_eq!(ledger.summary(&GET_1, REQUESTS, "one"), Some(summary));
        assert_eq!(ledger.ratio(&GET_1, REQUESTS, "two", "one"), Some(2.0));
    }

    #[test]
    fn a_round_that_one_missed_does_not_count() {
        let mut ledger = ledger();
        ledger.add(&GET_1, "two", 7, &[(REQUESTS, 1e9)]);
        assert_eq!(ledger.ratio(&GET_1, REQUESTS, "two", "one"), Some(2.0));
        assert_eq!(ledger.ratio(&GET_1, REQUESTS, "two", "nobody"), None);
        assert_eq!(ledger.summary(&GET_64, REQUESTS, "one"), None);
        assert!(ledger.has(&GET_1, REQUESTS) && !ledger.has(&GET_1, MIB));
    }

    #[test]
    fn programs_get_every_round() {
        let json = ledger().json();
        assert_eq!(json["get-1"]["one"]["requests_per_second"]["rounds"], json!([1.0, 10.0, 3.0]));
    }
}
