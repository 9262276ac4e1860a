use serde_json::json;

use super::measure::Plan;
use crate::{
    Bar, Case, Metric, Plot, Results, Row, Section, Table,
    figures::{AGENT_GIB, AGENT_US, BOTH_GIB, BOTH_US, GATEWAY_GIB, GATEWAY_US, MIB, P50, P99, REQUESTS},
};

/// What a run found, in its three forms.
pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) results: Results,
}

impl Report {
    /// For the terminal.
    pub(super) fn tables(&self) -> String {
        let bulk = format!("Bulk, {} MiB in all", self.plan.bulk >> 20);
        let tables: [(&str, &[Metric]); 3] = [
            ("Requests", &[REQUESTS, P50, P99]),
            ("CPU per request, us", &[GATEWAY_US, AGENT_US, BOTH_US]),
            (&bulk, &[MIB, GATEWAY_GIB, AGENT_GIB, BOTH_GIB]),
        ];
        let mut text = String::new();
        for (title, metrics) in tables {
            let table = Table::of(&self.results, metrics);
            if !table.is_empty() {
                text += &format!("\n{title}\n{table}");
            }
        }
        text + &format!("\n{}. Ratios are medians of the ratios within each round.\n", self.method())
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let Plan { rounds, duration, bulk } = self.plan;
        let mut report = self.results.json();
        report["bench"] = "transports".into();
        report["plan"] = json!({ "rounds": rounds, "seconds": duration.as_secs_f64(), "bulk_bytes": bulk });
        format!("{report:#}\n")
    }

    /// For documents.
    pub(super) fn plot(&self) -> Plot {
        let stacked = |what: &str| format!("CPU {what}: gateway + agent (faded)");
        Plot {
            title: "The tunnel over gRPC and over WebSocket".to_owned(),
            subtitle: self.method(),
            contenders: self.results.contenders().iter().map(|name| (*name).to_owned()).collect(),
            sections: vec![
                self.section([
                    (stacked("per request, us"), BOTH_US, &[GATEWAY_US, AGENT_US]),
                    ("Requests per second".to_owned(), REQUESTS, &[REQUESTS]),
                ]),
                self.section([
                    (stacked("per GiB, s"), BOTH_GIB, &[GATEWAY_GIB, AGENT_GIB]),
                    ("MiB per second".to_owned(), MIB, &[MIB]),
                ]),
            ],
        }
    }

    /// A row for each case that has the metrics of all columns; a column is its head, its metric and that one's parts.
    fn section(&self, columns: [(String, Metric, &[Metric]); 2]) -> Section {
        let contenders = 0..self.results.contenders().len();
        let row = |case: &Case| {
            let median = |metric, contender| case.series(metric).map(|series| series.median(contender));
            let bar = |(_, metric, parts): &(String, Metric, &[Metric]), contender| {
                let parts: Option<_> = parts.iter().map(|part| median(*part, contender)).collect();
                Some(Bar { parts: parts?, value: median(*metric, contender)? })
            };
            let cell = |column| contenders.clone().map(|contender| bar(column, contender)).collect();
            let cells: Option<_> = columns.iter().map(cell).collect();
            Some(Row { label: case.name.to_owned(), cells: cells?, colour: 0 })
        };
        Section {
            rows: self.results.cases().iter().filter_map(row).collect(),
            columns: columns.iter().map(|(head, ..)| head.clone()).collect(),
        }
    }

    fn method(&self) -> String {
        let Plan { rounds, duration, .. } = self.plan;
        let rounds = if rounds == 1 { "one round".to_owned() } else { format!("{rounds} rounds") };
        format!("Medians of {rounds} in which the transports took turns, {} s each", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut results = Results::new(&["grpc", "ws"]);
        for contender in 0..2 {
            let metrics = [REQUESTS, P50, P99, GATEWAY_US, AGENT_US, BOTH_US];
            results.add("GET", contender, &metrics.map(|metric| (metric, 1.0)));
        }
        Report { plan: Plan::QUICK, results }
    }

    #[test]
    fn a_table_without_cases_is_left_out() {
        let text = report().tables();
        assert!(text.contains("CPU per request") && !text.contains("MiB"), "{text}");
    }

    #[test]
    fn the_plot_stacks_both_ends() {
        let plot = report().plot();
        let bar = |parts: &[f64]| Bar { parts: parts.to_vec(), value: 1.0 };
        let expected = [vec![bar(&[1.0, 1.0]); 2], vec![bar(&[1.0]); 2]];
        assert_eq!(plot.sections[0].rows[0].cells, expected);
        assert!(plot.sections[1].rows.is_empty());
    }

    #[test]
    fn programs_learn_how_it_was_measured() {
        let json: serde_json::Value = serde_json::from_str(&report().json()).unwrap();
        assert_eq!(json["plan"]["rounds"], Plan::QUICK.rounds);
        assert_eq!(json["cases"][0]["metrics"]["p50_us"]["ws/grpc"], 1.0);
    }
}
