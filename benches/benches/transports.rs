//! gRPC and WebSocket side by side: `cargo bench -p benches --bench transports`, explained in `benches/README.md`.

use std::process::ExitCode;

use benches::{Role, played, transports};

fn main() -> ExitCode {
    played::<Role>().unwrap_or_else(|| cli::run(transports::run))
}
