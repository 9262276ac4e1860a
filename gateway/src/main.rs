//! `gateway-tunnel`: the gateway's command line.

mod cli;

use std::{num::NonZeroUsize, process::ExitCode};

use ::cli::{Failure, Shutdown, output};
use gateway::dev::{Check, Dev, DevOptions};

/// Half of what a small request costs outside the kernel is memory that lives for a moment; the system's allocator takes
/// twice as long for it (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ::cli::run(cli::Arguments::run)
}

/// Runs the gateway; what keeps it from starting is told in the log's words.
async fn serve(config: gateway::Config, threads: NonZeroUsize, shutdown: Shutdown) -> Result<(), Failure> {
    gateway::serve(config, threads, shutdown).await.map_err(|error| {
        if error.is_of_configuration() { Failure::configuration(error) } else { Failure::runtime(error) }
    })
}

/// Runs a whole tunnel, or checks it.
async fn dev(settings: cli::dev::DevSettings, shutdown: Shutdown) -> Result<(), Failure> {
    let cli::dev::DevSettings { http, https, tls, grpc, ws, admin, id, check, .. } = settings;
    let options = DevOptions { http, grpc, ws, admin, tls: tls.then_some(https), agent_id: id };
    let dev = Dev::start(options, shutdown).await.map_err(Failure::runtime)?;
    if !check {
        output::write(dev.banner().as_bytes()).map_err(Failure::runtime)?;
        return dev.run().await.map_err(Failure::runtime);
    }
    let mut failed = None;
    for Check { transport, outcome } in dev.check().await {
        let verdict = match &outcome {
            Ok(duration) => format!("ok in {:.1} ms", duration.as_secs_f64() * 1000.0),
            Err(error) => format!("failed: {error}"),
        };
        output::line(&format!("{transport:4}  {verdict}")).map_err(Failure::runtime)?;
        failed = failed.or(outcome.err());
    }
    failed.map_or(Ok(()), |error| Err(Failure::runtime(error)))
}
