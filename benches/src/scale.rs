//! The tunnel with more and more of everything: agents, requests at a time, bytes in a body. What one request costs should
//! not depend on how many others there are.
//!
//! The gateway is the real program, and so is the agent where there is one. Where there are many, a child of the bench
//! runs them all in one process with the agent's library; their service is a process of its own, too, since each
//! process may only have so many sockets.

use std::{path::PathBuf, time::Duration};

use agent::Transport;
use cli::Failure;
use tokio::runtime::{Builder, Runtime};

mod agents;
mod arguments;
mod bodies;
mod curve;
pub(crate) mod herd;
mod report;
mod requests;
pub(crate) mod role;

pub use arguments::Arguments;
pub use role::Role;

use self::{curve::Curve, report::Report, role::Service};
use crate::{
    peers::machine::{self, Machine},
    tunnel::TRANSPORTS,
};

/// Body bytes of a small response.
const SMALL: u64 = 16;
/// Sockets and files that a process has beside those that are counted.
const OTHER_FILES: usize = 100;

/// How much is measured.
#[derive(Clone, Debug)]
struct Plan {
    /// Time of each load.
    duration: Duration,
    agents: Vec<usize>,
    requests: Vec<usize>,
    bodies: Vec<u64>,
}

/// What all three need.
struct Bench {
    programs: PathBuf,
    service: Service,
    duration: Duration,
    /// Open files that a process may have.
    files: usize,
}

/// Measures and shows what the arguments ask for.
///
/// # Errors
/// A [`Failure`] that names the part which did not work.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.common.measures() { measured(&arguments).map_err(Failure::runtime) } else { Ok(()) }
}

fn measured(arguments: &Arguments) -> anyhow::Result<()> {
    let plan = arguments.plan();
    let programs = arguments.common.programs()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let machine = Machine::look(runtime.block_on(machine::idle()));
    let files = allowed_files();
    let bench = Bench { programs, service: Service::start()?, duration: plan.duration, files };
    let report = Report {
        agents: each(&runtime, "agents", async |transport| {
            Ok(agents::measure(&bench, transport, &plan.agents).await)
        })?,
        requests: each(&runtime, "requests", async |transport| {
            requests::measure(&bench, transport, &plan.requests).await
        })?,
        bodies: each(&runtime, "bodies", async |transport| {
            bodies::measure(&bench, transport, &plan.bodies).await
        })?,
        plan,
        files,
    };
    report.page(machine, &bench.programs).publish(&arguments.common)
}

fn each<P>(
    runtime: &Runtime,
    what: &str,
    measure: impl AsyncFn(Transport) -> anyhow::Result<Curve<P>>,
) -> anyhow::Result<Vec<Curve<P>>> {
    let curve = |transport: Transport| {
        eprintln!("{what} over {}", transport.label());
        runtime.block_on(measure(transport))
    };
    TRANSPORTS.into_iter().map(curve).collect()
}

/// Raises the limit as far as that goes; children inherit it.
pub(crate) fn allowed_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: maximum, maximum };
    let _ = setrlimit(Resource::Nofile, wanted); // it stays as it is, then
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}
