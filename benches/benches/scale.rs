//! The tunnel with more and more of everything: `cargo bench -p benches --bench scale`, explained in `benches/README.md`.

use std::process::ExitCode;

use benches::scale::{self, Role};

fn main() -> ExitCode {
    match Role::from_args(std::env::args()) {
        Some(role) => role.play(),
        None => cli::run(scale::run),
    }
}
