//! The tunnel whose agent is far from its gateway, and on the other side of a slow line. Between them is a
//! `Path`, a proxy that delays; clients are near the gateway, the service is near the agent.
//!
//! - Far, with a fast line: how soon one download fills it, which is the windows' growth at work.
//! - Near, with a slow line: what small requests suffer from a bulk transfer beside them, which is the order of frames
//!   and their credit at work.

use agent::Transport;
use anyhow::Context as _;
use cli::Failure;
use tokio::runtime::Builder;

mod arguments;
mod measure;
mod report;

pub use arguments::Arguments;

use self::{
    measure::{Far, Slow},
    report::Report,
};
use crate::{
    Upstream,
    peers::machine::{self, Machine},
    tunnel::TRANSPORTS,
};

/// What was found over one transport.
struct Findings {
    transport: Transport,
    far: Far,
    slow: Slow,
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
    let upstream = Upstream::start().context("the upstream cannot be started")?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let machine = Machine::look(runtime.block_on(machine::idle()));
    let mut findings = Vec::new();
    for transport in TRANSPORTS {
        eprintln!("over {}", transport.label());
        let far = runtime.block_on(measure::far(&programs, transport, upstream.addr(), plan));
        let slow = runtime.block_on(measure::slow(&programs, transport, upstream.addr(), plan));
        let context = || format!("over {}", transport.label());
        findings.push(Findings {
            transport,
            far: far.with_context(context)?,
            slow: slow.with_context(context)?,
        });
    }
    Report { plan, findings }.page(machine, &programs).publish(&arguments.common)
}
