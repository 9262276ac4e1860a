use std::{
    env,
    path::{Path, PathBuf},
};

use clap::Parser;

use super::{
    cases::{CASES, Case},
    contenders::Contender,
    measure::Plan,
};

/// Compares the tunnel with others of its kind, as real processes on this machine
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo bench -p benches --bench peers --")]
pub struct Arguments {
    /// Measure shortly, in fewer rounds; the default where the variable CI is set
    #[arg(long)]
    quick: bool,
    /// Rounds, of which the median is shown [default: 5, or 2 if quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Measure only contenders with one of these in their name
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Measure only these cases: get-64, get-1, connect, get-64k, down-1, down-8, beside, up-1, up-4, memory, agents,
    /// recovery
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = case)]
    case: Vec<Case>,
    /// Where gateway-tunnel and agent-tunnel are [default: target/release, where cargo builds them first]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Install peers that are missing, with apt-get, cargo and pip
    #[arg(long)]
    install: bool,
    /// Write the page there as well, with JSON and plots in a directory of its name beside it
    #[arg(long, value_name = "FILE.md")]
    write: Option<PathBuf>,
    /// Given by cargo bench
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    /// Whether anything is to be measured: `cargo test --benches` runs this as well.
    pub(super) fn measures(&self) -> bool {
        self.bench
    }

    pub(super) fn installs(&self) -> bool {
        self.install
    }

    pub(super) fn plan(&self) -> Plan {
        let quick = self.quick || env::var_os("CI").is_some_and(|value| !value.is_empty());
        let default = if quick { Plan::QUICK } else { Plan::FULL };
        Plan { rounds: self.rounds.unwrap_or(default.rounds), ..default }
    }

    pub(super) fn cases(&self) -> Vec<Case> {
        if self.case.is_empty() { CASES.to_vec() } else { self.case.clone() }
    }

    pub(super) fn wants(&self, contender: &Contender) -> bool {
        let name = contender.name.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|only| name.contains(&only.to_lowercase()))
    }

    /// Our own programs, if they are not to be built.
    pub(super) fn bin_dir(&self) -> Option<PathBuf> {
        self.bin_dir.as_deref().map(in_workspace)
    }

    pub(super) fn page(&self) -> Option<PathBuf> {
        self.write.as_deref().map(in_workspace)
    }
}

/// Paths count from the workspace, wherever cargo runs its benches.
pub(crate) fn in_workspace(path: &Path) -> PathBuf {
    workspace().join(path)
}

/// The directory above this package.
pub(crate) fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// Where cargo builds; this program is `target/<profile>/deps/<name>`, wherever `target` is.
pub(crate) fn target() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    program.ancestors().nth(3).unwrap_or(&program).to_owned()
}

fn case(key: &str) -> Result<Case, String> {
    let keys = || CASES.map(|case| case.key).join(", ");
    CASES.into_iter().find(|case| case.key == key).ok_or_else(|| format!("there are {}", keys()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::peers::contenders::CONTENDERS;

    fn parse(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        let help = Arguments::command().render_long_help().to_string().replace('\n', " ");
        assert!(CASES.iter().all(|case| help.contains(case.key)));
    }

    #[test]
    fn cases_and_contenders_are_chosen_by_name() {
        let arguments = parse("bench --case get-1,up-4 --only rathole,ours");
        let keys: Vec<_> = arguments.cases().iter().map(|case| case.key).collect();
        assert_eq!(keys, ["get-1", "up-4"]);
        let names = CONTENDERS.iter().filter(|contender| arguments.wants(contender));
        assert_eq!(
            names.map(|contender| contender.name).collect::<Vec<_>>(),
            ["rathole", "ours, gRPC", "ours, WebSocket"]
        );
        assert!(Arguments::try_parse_from(["bench", "--case", "nonsense"]).is_err());
    }

    #[test]
    fn a_test_run_measures_nothing() {
        assert!(!parse("bench").measures());
        assert!(parse("bench --bench --quick").measures());
        assert_eq!(parse("bench --bench --quick --rounds 7").plan().rounds, 7);
    }
}
