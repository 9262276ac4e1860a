//! `agent-tunnel`: the agent's command line.

mod cli;

use std::{process::ExitCode, sync::Arc};

use ::cli::{Exit, Failure, Shutdown};
use agent::{Observer, RunError};

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

/// Runs the agent, and says with which code to end.
async fn run(config: agent::Config, display: Display, shutdown: Shutdown) -> Result<(), Failure> {
    let observer = observer(&config, display);
    agent::run(config, observer, shutdown).await.map_err(|error| {
        let exit = match error {
            RunError::Unreachable { .. } => Exit::Unreachable,
            RunError::Refused(_) => Exit::Refused,
            _ => Exit::Runtime,
        };
        Failure::new(exit, error)
    })
}

/// WIRING: chooses between the observers of `agent::ui`.
fn observer(_config: &agent::Config, _display: Display) -> Observer {
    Arc::new(|event| tracing::info!(?event, "event"))
}
