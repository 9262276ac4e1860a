//! A thousand seeds, each checked against what must always hold.
//!
//! `SIM_SEED=n` replays one seed and prints all that happens; `SIM_SEEDS=a..b` plays others than the usual ones.

use std::{
    collections::BTreeMap,
    env,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use sim::Report;

/// Played unless others are asked for.
const USUAL: Range<u64> = 0..1000;
/// Of so many one is played twice, to see that it is the same.
const TWICE: u64 = 25;

#[test]
fn what_must_hold_holds_for_every_seed() {
    let seeds = match (env::var("SIM_SEED"), env::var("SIM_SEEDS")) {
        (Ok(seed), _) => return replay(seed.parse().expect("SIM_SEED is a number")),
        (_, Ok(range)) => parse(&range).expect("SIM_SEEDS is a range, like 0..1000"),
        _ => USUAL,
    };
    let (next, failed) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let totals = Mutex::new((0, BTreeMap::<&str, u64>::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Relaxed)).filter(|seed| seeds.contains(seed)) {
                    let mut report = sim::run(seed, false);
                    if seed % TWICE == 0 && sim::run(seed, false).hash != report.hash {
                        report.violations.push("another run of the seed went otherwise".to_owned());
                    }
                    let mut totals = totals.lock().unwrap();
                    totals.0 += report.events;
                    for (outcome, count) in &report.outcomes {
                        *totals.1.entry(outcome).or_default() += count;
                    }
                    if !report.violations.is_empty() {
                        failed.lock().unwrap().push(report);
                    }
                }
            });
        }
    });
    let (events, outcomes) = totals.into_inner().unwrap();
    eprintln!("{} seeds, {events} events, outcomes: {outcomes:?}", seeds.end - seeds.start);
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|report| report.seed);
    let texts: Vec<String> = failed.iter().map(text).collect();
    assert!(
        failed.is_empty(),
        "{} seeds failed; replay one with SIM_SEED=n\n{}",
        failed.len(),
        texts.join("\n")
    );
}

fn replay(seed: u64) {
    let report = sim::run(seed, true);
    for line in &report.lines {
        eprintln!("{line}");
    }
    eprintln!("{:?}, {} events, hash {:016x}", report.outcomes, report.events, report.hash);
    assert!(report.violations.is_empty(), "{}", text(&report));
}

fn text(report: &Report) -> String {
    format!("seed {}:\n  {}", report.seed, report.violations.join("\n  "))
}

fn parse(range: &str) -> Option<Range<u64>> {
    let (start, end) = range.split_once("..")?;
    Some(start.parse().ok()?..end.parse().ok()?)
}
