use serde_json::{Map, Value, json};

use crate::stats::median;

/// Figures of several contenders that took turns, by case and round. The first contender is the one that the others
/// are compared with.
#[derive(Clone, Debug)]
pub struct Results {
    contenders: Vec<&'static str>,
    cases: Vec<Case>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name in JSON, which says the unit, e.g. `p50_us`.
    pub key: &'static str,
    /// Its name for people, e.g. `p50 us`.
    pub title: &'static str,
}

/// One kind of load.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name, e.g. `GET small c=1`.
    pub name: &'static str,
    series: Vec<Series>,
}

/// One metric of one case.
#[derive(Clone, Debug)]
pub struct Series {
    metric: Metric,
    /// By contender, then by round.
    rounds: Vec<Vec<f64>>,
}

impl Results {
    /// No figures yet.
    pub fn new(contenders: &[&'static str]) -> Self {
        Self { contenders: contenders.to_vec(), cases: Vec::new() }
    }

    /// Adds the figures of one round. Every round of a case must have the same metrics, for every contender.
    ///
    /// # Panics
    /// If `contender` is not the position of one.
    pub fn add(&mut self, case: &'static str, contender: usize, figures: &[(Metric, f64)]) {
        let count = self.contenders.len();
        let known = self.cases.iter().position(|known| known.name == case);
        let position = known.unwrap_or_else(|| {
            self.cases.push(Case { name: case, series: Vec::new() });
            self.cases.len() - 1
        });
        for (metric, value) in figures {
            self.cases[position].series_mut(*metric, count).rounds[contender].push(*value);
        }
    }

    /// Who took part.
    pub fn contenders(&self) -> &[&'static str] {
        &self.contenders
    }

    /// What was measured, in the order in which it first was.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// All figures, with their medians.
    pub fn json(&self) -> Value {
        let case = |case: &Case| {
            let metrics =
                case.series.iter().map(|series| (series.metric.key.to_owned(), self.series(series)));
            json!({ "name": case.name, "metrics": metrics.collect::<Map<_, _>>() })
        };
        json!({ "contenders": self.contenders, "cases": self.cases.iter().map(case).collect::<Vec<_>>() })
    }

    fn series(&self, series: &Series) -> Value {
        let mut map = Map::new();
        for (position, name) in self.contenders.iter().enumerate() {
            let value = json!({ "median": series.median(position), "rounds": series.rounds[position] });
            map.insert((*name).to_owned(), value);
            if position > 0 {
                map.insert(format!("{name}/{}", self.contenders[0]), json!(series.ratio(position)));
            }
        }
        Value::Object(map)
    }
}

impl Case {
    /// The figures of one metric, if it was measured here.
    pub fn series(&self, metric: Metric) -> Option<&Series> {
        self.series.iter().find(|series| series.metric == metric)
    }

    fn series_mut(&mut self, metric: Metric, contenders: usize) -> &mut Series {
        let known = self.series.iter().position(|series| series.metric == metric);
        let position = known.unwrap_or_else(|| {
            self.series.push(Series { metric, rounds: vec![Vec::new(); contenders] });
            self.series.len() - 1
        });
        &mut self.series[position]
    }
}

impl Series {
    /// The median over the rounds of a contender.
    pub fn median(&self, contender: usize) -> f64 {
        median(&self.rounds[contender])
    }

    /// The median over the rounds of what a contender has for one that the first contender has in the same round.
    ///
    /// The two of a round were measured one right after the other, so noise that lasts longer than that cancels out;
    /// in the quotient of two medians it would not.
    pub fn ratio(&self, contender: usize) -> f64 {
        let pairs = self.rounds[contender].iter().zip(&self.rounds[0]);
        median(&pairs.map(|(one, first)| one / first).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Metric = Metric { key: "requests_per_second", title: "requests/s" };

    #[test]
    fn contenders_are_compared_within_a_round() {
        let mut results = Results::new(&["one", "two"]);
        for (one, two) in [(1.0, 2.0), (10.0, 20.0), (3.0, 9.0)] {
            results.add("case", 0, &[(RATE, one)]);
            results.add("case", 1, &[(RATE, two)]);
        }
        let series = results.cases()[0].series(RATE).unwrap();
        assert_eq!((series.median(0), series.median(1), series.ratio(1)), (3.0, 9.0, 2.0));
        let json = &results.json()["cases"][0]["metrics"]["requests_per_second"];
        assert_eq!(json["two/one"], 2.0);
        assert_eq!(json["one"], serde_json::json!({ "median": 3.0, "rounds": [1.0, 10.0, 3.0] }));
    }
}
