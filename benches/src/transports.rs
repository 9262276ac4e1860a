//! gRPC and WebSocket compared: one gateway, one agent process, the same load over either in turns.
//!
//! [`Arguments`] say how long, each of a dozen cases says what, [`run`] does it and shows the figures.

use std::{fs, path::Path};

use anyhow::Context as _;
use cli::{Failure, output};

mod arguments;
mod cases;
mod measure;
mod report;

pub use arguments::Arguments;

use self::{cases::Case, measure::Bench, report::Report};

/// Measures and shows what the arguments ask for.
///
/// # Errors
/// A [`Failure`] that names the part which did not work.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let cases: Vec<&Case> = arguments.cases().collect();
    if cases.is_empty() {
        eprintln!("no case has that in its name; there are:");
        cases::CASES.iter().for_each(|case| eprintln!("  {}", case.name));
        return Ok(());
    }
    let plan = arguments.plan();
    let results = Bench::start().and_then(|bench| bench.measure(&cases, plan)).map_err(Failure::runtime)?;
    let report = Report { plan, results };
    output::write(report.tables().as_bytes()).map_err(Failure::runtime)?;
    for (path, content) in [(arguments.json(), report.json()), (arguments.svg(), report.plot().to_string())] {
        save(&path, &content).map_err(Failure::runtime)?;
    }
    Ok(())
}

fn save(path: &Path, content: &str) -> anyhow::Result<()> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, content));
    written.with_context(|| format!("cannot write {}", path.display()))?;
    Ok(output::line(&format!("written: {}", path.display()))?)
}
