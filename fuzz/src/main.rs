//! Runs a fuzz target on mutations of its corpus, blind to coverage, for as long as one likes. What breaks a rule is kept in
//! `fuzz/crashes`.

#![allow(clippy::print_stdout, reason = "a program whose output is its purpose")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Parser;
use fuzz::{Campaign, Corpus, Crash, TARGETS, Target};

/// Fuzz targets of the tunnel.
#[derive(Debug, Parser)]
struct Arguments {
    /// A target, or none for all of them, one after the other.
    target: Option<String>,
    /// Mutations to try.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    runs: u64,
    /// How long to try each target.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The same seed makes the same mutations.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this input, whose panic is shown as it happens.
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let wanted = |target: &&Target| arguments.target.as_ref().is_none_or(|name| *name == target.name);
    let targets: Vec<&'static Target> = TARGETS.iter().filter(wanted).collect();
    let names = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    anyhow::ensure!(!targets.is_empty(), "no such target; there are {}", names());
    if let Some(path) = &arguments.input {
        (targets[0].run)(&fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
        return Ok(());
    }
    std::panic::set_hook(Box::new(|_| {})); // they are reported once
    let mut crashed = false;
    for target in targets {
        let inputs = Corpus::committed(target.name).inputs().unwrap_or_default();
        let mut campaign = Campaign::new(target, inputs, arguments.seed);
        let begun = Instant::now();
        let time = Duration::from_secs(arguments.seconds);
        let outcome = campaign.replay().and_then(|()| campaign.mutate(arguments.runs, time));
        println!("{}: {} runs in {:.1} s", target.name, campaign.runs(), begun.elapsed().as_secs_f64());
        if let Err(crash) = outcome {
            crashed = true;
            println!("{}: {}\n  kept in {}", target.name, crash.what, keep(target, &crash)?.display());
        }
    }
    anyhow::ensure!(!crashed, "a rule was broken");
    Ok(())
}

fn keep(target: &Target, crash: &Crash) -> anyhow::Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes").join(target.name);
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let sum = crash
        .input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let path = directory.join(format!("{sum:016x}"));
    fs::write(&path, &crash.input).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
