use std::time::Duration;

use clap::Parser;

use super::measure::Plan;
use crate::suite::Common;

/// Measures the tunnel over a way that takes time, between agent and gateway
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo bench -p benches --bench distance --")]
pub struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
}

impl Arguments {
    pub(super) fn plan(&self) -> Plan {
        let [download, small] = if self.common.is_quick() { [3, 2] } else { [10, 10] };
        Plan { download: Duration::from_secs(download), small: Duration::from_secs(small) }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        let arguments = Arguments::try_parse_from(["distance", "--bench", "--quick"]).unwrap();
        assert!(arguments.common.measures() && arguments.plan().small < Duration::from_secs(5));
    }
}
