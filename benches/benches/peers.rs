//! The tunnel beside others of its kind: `cargo bench -p benches --bench peers`, explained in `benches/README.md`.

use std::process::ExitCode;

use benches::{peers, played, proxy::Role};

fn main() -> ExitCode {
    played::<Role>().unwrap_or_else(|| cli::run(peers::run))
}
