use std::{env, path::PathBuf, time::Duration};

use clap::Parser;

use super::{
    cases::{self, Case},
    measure::Plan,
};
use crate::peers::arguments::target;

/// Compares what the tunnel costs over gRPC and over WebSocket
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo bench -p benches --bench transports --")]
pub struct Arguments {
    /// Measure only cases with this in their name, in upper or lower case
    #[arg(value_name = "CASE")]
    filter: Option<String>,
    /// Take about 10 s in all; the default without cargo bench, and where the variable CI is set
    #[arg(long)]
    quick: bool,
    /// Rounds, of which the median is shown [default: 5, or 3 if quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Time for each case and transport in each round [default: 1, or 0.15 if quick]
    #[arg(long, value_name = "S", value_parser = seconds)]
    seconds: Option<Duration>,
    /// Where the figures go [default: transports.json in target/bench]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the plot goes [default: transports.svg in target/bench]
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    pub(super) fn cases(&self) -> impl Iterator<Item = &'static Case> {
        let filter = self.filter.as_deref().unwrap_or_default().to_lowercase();
        cases::CASES.iter().filter(move |case| case.name.to_lowercase().contains(&filter))
    }

    pub(super) fn plan(&self) -> Plan {
        let quick = self.quick || !self.bench || env::var_os("CI").is_some_and(|value| !value.is_empty());
        let default = if quick { Plan::QUICK } else { Plan::FULL };
        Plan {
            rounds: self.rounds.unwrap_or(default.rounds),
            duration: self.seconds.unwrap_or(default.duration),
            ..default
        }
    }

    pub(super) fn json(&self) -> PathBuf {
        self.json.clone().unwrap_or_else(|| default_file("transports.json"))
    }

    pub(super) fn svg(&self) -> PathBuf {
        self.svg.clone().unwrap_or_else(|| default_file("transports.svg"))
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let sensible = seconds.filter(|duration| (0.01..=60.0).contains(&duration.as_secs_f64()));
    sensible.ok_or_else(|| "a number from 0.01 to 60 is needed".to_owned())
}

fn default_file(name: &str) -> PathBuf {
    target().join("bench").join(name)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_run_that_is_no_benchmark_is_quick() {
        assert_eq!(parse("bench").plan().rounds, Plan::QUICK.rounds);
        let plan = parse("bench --bench --rounds 2 --seconds 0.5").plan();
        assert_eq!((plan.rounds, plan.duration), (2, Duration::from_millis(500)));
    }

    #[test]
    fn cases_are_chosen_by_name() {
        assert_eq!(parse("bench").cases().count(), cases::CASES.len());
        assert!(parse("bench post").cases().all(|case| case.name.starts_with("POST")));
        assert_eq!(parse("bench nonsense").cases().count(), 0);
    }

    #[test]
    fn a_time_must_be_sensible() {
        assert!(["0", "-1", "61", "NaN", "soon"].iter().all(|text| seconds(text).is_err()));
    }
}
