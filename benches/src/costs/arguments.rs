use std::{path::PathBuf, time::Duration};

use clap::Parser;

use super::Plan;
use crate::suite::Common;

/// Says what one small request costs in CPU time, context switches, system calls and memory
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo bench -p benches --bench costs --")]
pub struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
    /// Where an earlier build of both programs is, to compare with
    #[arg(long, value_name = "DIR")]
    pub(super) before: Option<PathBuf>,
}

impl Arguments {
    pub(super) fn plan(&self) -> Plan {
        if self.common.is_quick() {
            Plan { rounds: 1, duration: Duration::from_millis(500) }
        } else {
            Plan { rounds: 5, duration: Duration::from_secs(2) }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        let arguments = Arguments::try_parse_from(["costs", "--quick", "--before", "/old"]).unwrap();
        assert_eq!(arguments.plan().rounds, 1);
        assert!(!arguments.common.measures());
    }
}
