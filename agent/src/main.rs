//! `agent-tunnel`: the agent's command line.

mod cli;

use std::{io, net::SocketAddr, process::ExitCode};

use ::cli::{Exit, Failure, Shutdown, signals};
use agent::{Agent, RunError, admin::Admin, network, status::socket::Socket, ui};
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Half of what a small request costs outside the kernel is memory that lives for a moment; the system's allocator takes
/// twice as long for it (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ::cli::run(cli::Arguments::run)
}

/// Who watches the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Display {
    /// A person, on a terminal.
    Terminal,
    /// A log on stderr; stdout gets the public URL and nothing else.
    Log,
}

/// What runs beside an agent, for whoever looks after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sides {
    /// Whether `agent-tunnel status` gets an answer.
    status: bool,
    /// Where operators ask over HTTP.
    admin: Option<SocketAddr>,
}

/// Runs the agent, and says with which code to end.
async fn run(
    config: agent::Config,
    sides: Sides,
    display: Display,
    shutdown: Shutdown,
) -> Result<(), Failure> {
    // Held until the end: dropping it puts the cursor back.
    let (observer, _screen) = match display {
        Display::Terminal => {
            let (observer, screen) = ui::terminal(config.upstream.to_string()).map_err(Failure::runtime)?;
            (observer, Some(screen))
        }
        Display::Log => (ui::plain(), None),
    };
    let agent_id = config.agent_id.clone();
    let agent = Agent::new(config, observer);
    let mut beside = JoinSet::new();
    beside.spawn(network::watch(agent.nudge()));
    let nudge = agent.nudge();
    let asked = move || {
        info!("SIGHUP: asking every link whether it still works, and connecting at once where there is none");
        nudge.nudge();
    };
    signals::on_hangup(shutdown.drain.clone(), asked).map_err(Failure::runtime)?;
    if let Some(addr) = sides.admin {
        let admin =
            Admin::bind(addr).await.map_err(|source| Failure::runtime(AdminError { addr, source }))?;
        info!(addr = %admin.addr().map_err(Failure::runtime)?, "admin port open");
        beside.spawn(admin.serve(agent.status()));
    }
    if sides.status {
        match Socket::bind(agent_id.as_str()) {
            Ok(socket) => {
                let source = agent.status();
                beside.spawn(async move { socket.serve(source).await });
            }
            Err(error) => warn!(%error, "`agent-tunnel status` will not see this agent"),
        }
    }
    let outcome = agent.run(shutdown).await;
    // A socket is removed when its task is dropped.
    beside.shutdown().await;
    outcome.map_err(|error| {
        let exit = match error {
            RunError::Unreachable { .. } => Exit::Unreachable,
            RunError::Refused(_) => Exit::Refused,
            _ => Exit::Runtime,
        };
        Failure::new(exit, error)
    })
}

/// An address for operators that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {addr} for --admin: is another process there?")]
struct AdminError {
    addr: SocketAddr,
    source: io::Error,
}
