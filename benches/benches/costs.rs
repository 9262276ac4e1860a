//! What one request costs in system calls, switches and memory: `cargo bench -p benches --bench costs`, explained in
//! `benches/README.md`.

use std::{alloc::System, process::ExitCode};

use benches::{Role, costs, played};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts, also in the gateway and the agents that are children of this program.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    played::<Role>().unwrap_or_else(|| cli::run(costs::run))
}
