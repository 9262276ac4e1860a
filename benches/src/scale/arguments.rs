use std::time::Duration;

use clap::Parser;

use super::Plan;
use crate::suite::Common;

/// Measures what a request costs against the number of agents, of requests at a time and of bytes in a body
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo bench -p benches --bench scale --")]
pub struct Arguments {
    #[command(flatten)]
    pub(super) common: Common,
}

impl Arguments {
    pub(super) fn plan(&self) -> Plan {
        if self.common.is_quick() {
            return Plan {
                duration: Duration::from_millis(500),
                agents: vec![1, 10, 100],
                requests: vec![1, 10, 100],
                bodies: vec![0, 1 << 10, 1 << 20],
            };
        }
        Plan {
            duration: Duration::from_secs(2),
            agents: vec![1, 10, 100, 1_000, 3_000, 9_000],
            requests: vec![1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000],
            bodies: vec![0, 1 << 10, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 24, 1 << 28, 1 << 30],
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
        let plan = Arguments::try_parse_from(["scale", "--quick"]).unwrap().plan();
        assert!(plan.agents.is_sorted() && plan.requests.is_sorted() && plan.bodies.is_sorted());
    }
}
