//! gRPC and WebSocket side by side: `cargo bench -p benches --bench transports`, explained in `benches/README.md`.

use std::process::ExitCode;

use benches::{Role, transports};

fn main() -> ExitCode {
    match Role::from_args(std::env::args()) {
        Some(role) => role.play(),
        None => cli::run(transports::run),
    }
}
