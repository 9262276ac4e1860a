//! What one small request costs at each end, looked at closely: CPU time in and out of the kernel, context switches, system
//! calls by name, and pieces of memory.
//!
//! The first three are those of the real programs, this tree's and perhaps an earlier build's in turns. Memory is that
//! of a gateway and an agent made of the bench's own program, whose allocator counts.

use std::time::Duration;

use agent::Transport;
use anyhow::Context as _;
use cli::Failure;
use tokio::runtime::{Builder, Runtime};

mod arguments;
mod counters;
mod memory;
mod report;
mod subject;
mod trace;

pub use arguments::Arguments;

use self::{memory::Memory, report::Report, subject::Subject};
use crate::{
    Upstream,
    peers::machine::{self, Machine},
    tunnel::TRANSPORTS,
};

/// Clients at a time, each of which waits for its response before it asks again.
const CLIENTS: usize = 64;
/// Body bytes of a response.
const SMALL: u64 = 16;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: u32,
    /// Time of each load.
    duration: Duration,
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
    let builds = arguments.before.iter().map(|dir| ("before", dir.as_path())).chain([("now", &*programs)]);
    let upstream = Upstream::start().context("the upstream cannot be started")?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let machine = Machine::look(runtime.block_on(machine::idle()));
    let mut subjects = Vec::new();
    for (build, dir) in builds {
        for transport in TRANSPORTS {
            subjects.push(runtime.block_on(Subject::start(build, dir, transport, upstream.addr()))?);
        }
    }
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        for subject in &mut subjects {
            runtime.block_on(subject.watch(plan.duration))?;
        }
    }
    for subject in &mut subjects {
        runtime.block_on(subject.trace(plan.duration))?;
    }
    let memory = memory(&runtime, &upstream, plan)?;
    Report { plan, subjects, memory }.page(machine, &programs, arguments).publish(&arguments.common)
}

fn memory(runtime: &Runtime, upstream: &Upstream, plan: Plan) -> anyhow::Result<Vec<(Transport, Memory)>> {
    let mut tunnel = crate::Tunnel::start(upstream.addr())?;
    TRANSPORTS
        .into_iter()
        .map(|transport| {
            Ok((transport, runtime.block_on(Memory::measure(&mut tunnel, transport, plan.duration))?))
        })
        .collect()
}
