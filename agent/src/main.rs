//! `agent-tunnel`: the agent's command line.

mod cli;

use std::process::ExitCode;

use ::cli::{Exit, Failure, Shutdown};
use agent::{RunError, ui};

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

/// Runs the agent, and says with which code to end.
async fn run(config: agent::Config, display: Display, shutdown: Shutdown) -> Result<(), Failure> {
    // Held until the end: dropping it puts the cursor back.
    let (observer, _screen) = match display {
        Display::Terminal => {
            let (observer, screen) = ui::terminal(config.upstream.to_string()).map_err(Failure::runtime)?;
            (observer, Some(screen))
        }
        Display::Log => (ui::plain(), None),
    };
    agent::run(config, observer, shutdown).await.map_err(|error| {
        let exit = match error {
            RunError::Unreachable { .. } => Exit::Unreachable,
            RunError::Refused(_) => Exit::Refused,
            _ => Exit::Runtime,
        };
        Failure::new(exit, error)
    })
}
