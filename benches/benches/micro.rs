//! Single operations, timed or counted: `cargo bench -p benches --bench micro`, explained in `benches/README.md`.

use std::{env, process::ExitCode, time::Duration};

use benches::micro::{self, Arguments, Repeat};
use criterion::Criterion;

/// As in the real programs, where half of an operation may be memory that lives for a moment.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(repeat) = Repeat::from_args(env::args()) {
        repeat.play();
        return ExitCode::SUCCESS;
    }
    if Arguments::are_meant(env::args()) {
        return cli::run(micro::count);
    }
    time();
    ExitCode::SUCCESS
}

fn time() {
    let criterion = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(300));
    let mut criterion = criterion.measurement_time(Duration::from_secs(1)).configure_from_args();
    for operation in micro::operations() {
        criterion.bench_function(operation.name(), |bencher| bencher.iter(operation.prepare()));
    }
    criterion.final_summary();
}
