//! Many agents at rest, and all of them back at once: `cargo bench -p benches --bench herd`, explained in
//! `benches/README.md`.

use std::process::ExitCode;

use benches::{herd, played, scale::Role};

fn main() -> ExitCode {
    played::<Role>().unwrap_or_else(|| cli::run(herd::run))
}
