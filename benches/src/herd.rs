//! Many agents: what each costs the gateway while it rests, and how they come back when the gateway was away.
//!
//! The gateway is the real program; the agents are one process with the agent's library, as in [`crate::scale`].

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use cli::Failure;
use tokio::runtime::Builder;

mod report;
mod resting;
mod returning;

use self::report::Report;
use crate::{
    Ending,
    peers::machine::{self, Machine},
    scale::{self, role::Service},
    suite::Common,
    tunnel::TRANSPORTS,
};

/// Measures what agents cost while they rest, and how they come back
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo bench -p benches --bench herd --")]
pub struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Agents that rest [default: 9000, or as many as the limit of open files allows; 300 with --quick]
    #[arg(long, value_name = "N")]
    resting: Option<usize>,
    /// Agents that come back [default: 1000; 100 with --quick]
    #[arg(long, value_name = "N")]
    returning: Option<usize>,
}

/// Sockets and files that a process has beside those that are counted.
const OTHER_FILES: usize = 100;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Plan {
    resting: usize,
    /// How long they rest: more than the longest pause between two heartbeats.
    rest: Duration,
    returning: usize,
}

/// What both need.
struct Bench {
    programs: PathBuf,
    service: Service,
    plan: Plan,
}

/// Measures and shows what the arguments ask for.
///
/// # Errors
/// A [`Failure`] that names the part which did not work.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.common.measures() { measured(&arguments).map_err(Failure::runtime) } else { Ok(()) }
}

fn measured(arguments: &Arguments) -> anyhow::Result<()> {
    let plan = arguments.plan(scale::allowed_files());
    let programs = arguments.common.programs()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let machine = Machine::look(runtime.block_on(machine::idle()));
    let bench = Bench { programs, service: Service::start()?, plan };
    let (mut resting, mut returning) = (Vec::new(), Vec::new());
    for transport in TRANSPORTS {
        eprintln!("{} agents rest over {}", plan.resting, transport.label());
        resting.push(runtime.block_on(resting::measure(&bench, transport))?);
        for ending in [Ending::Terminate, Ending::Kill] {
            eprintln!("{} agents come back over {} after {ending:?}", plan.returning, transport.label());
            returning.push(runtime.block_on(returning::measure(&bench, transport, ending))?);
        }
    }
    Report { plan, resting, returning }.page(machine, &bench.programs).publish(&arguments.common)
}

impl Arguments {
    fn plan(&self, files: usize) -> Plan {
        let quick = self.common.is_quick();
        // An agent has a socket to the gateway, and one to the service once it was asked.
        let most = files.saturating_sub(OTHER_FILES) / 2;
        Plan {
            resting: self.resting.unwrap_or(if quick { 300 } else { 9_000 }).min(most),
            rest: Duration::from_secs(if quick { 3 } else { 30 }),
            returning: self.returning.unwrap_or(if quick { 100 } else { 1_000 }).min(most),
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
        let arguments = Arguments::try_parse_from(["herd", "--quick", "--returning", "7"]).unwrap();
        let Plan { resting, returning, .. } = arguments.plan(300);
        assert_eq!((resting, returning), (100, 7));
    }
}
