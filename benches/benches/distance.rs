//! The tunnel between places that are far apart: `cargo bench -p benches --bench distance`, explained in
//! `benches/README.md`.

use std::process::ExitCode;

use benches::distance;

fn main() -> ExitCode {
    cli::run(distance::run)
}
