//! The tunnel with more and more of everything: `cargo bench -p benches --bench scale`, explained in `benches/README.md`.

use std::process::ExitCode;

use benches::{
    played,
    scale::{self, Role},
};

fn main() -> ExitCode {
    played::<Role>().unwrap_or_else(|| cli::run(scale::run))
}
