//! The tunnel beside others of its kind: `cargo bench -p benches --bench peers`, explained in `benches/README.md`.

use std::process::ExitCode;

use benches::{peers, proxy::Role};

fn main() -> ExitCode {
    match Role::from_args(std::env::args()) {
        Some(role) => role.play(),
        None => cli::run(peers::run),
    }
}
