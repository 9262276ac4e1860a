//! Many agents at rest, and all of them back at once: `cargo bench -p benches --bench herd`, explained in
//! `benches/README.md`.

use std::process::ExitCode;

use benches::{herd, scale::Role};

fn main() -> ExitCode {
    match Role::from_args(std::env::args()) {
        Some(role) => role.play(),
        None => cli::run(herd::run),
    }
}
