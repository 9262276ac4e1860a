//! `gateway-tunnel`: the gateway's command line.

mod cli;

use std::process::ExitCode;

use ::cli::{Failure, Shutdown};

fn main() -> ExitCode {
    ::cli::run(cli::Arguments::run)
}

/// Runs the gateway; what keeps it from starting is told in the log's words.
async fn serve(config: gateway::Config, shutdown: Shutdown) -> Result<(), Failure> {
    gateway::serve(config, shutdown).await.map_err(Failure::runtime)
}

/// WIRING: hands the flags of `dev` over to the gateway.
async fn dev(settings: cli::dev::DevSettings, shutdown: Shutdown) -> Result<(), Failure> {
    tracing::info!(http = %settings.http, id = %settings.id, check = settings.check, "not wired yet");
    shutdown.drain.cancelled().await;
    Ok(())
}
