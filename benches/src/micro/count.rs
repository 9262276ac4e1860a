use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use cli::{Failure, output};

use super::{
    Arguments, Operation,
    baseline::{Baseline, Verdict},
    callgrind, operations,
};
use crate::{Column, Table, peers::machine};

/// By how much two counts of the same may differ, as a part of them.
const AGREEMENT: f64 = 0.005;

/// Counts the instructions of what the arguments name, and shows them beside the baseline.
///
/// # Errors
/// A [`Failure`] if an operation takes more than its baseline tolerates, or cannot be counted.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if !callgrind::is_installed() {
        return output::line("instructions: skipped, there is no valgrind").map_err(Failure::runtime);
    }
    counted(&arguments).map_err(Failure::runtime)
}

fn counted(arguments: &Arguments) -> anyhow::Result<()> {
    let mut counts = Vec::new();
    for operation in operations().filter(|operation| arguments.wants(operation.name())) {
        counts.push((operation.name(), count(operation, arguments.twice)?));
    }
    ensure!(!counts.is_empty(), "no operation has that in its name");
    if arguments.update { update(&counts) } else { compare(arguments, &counts) }
}

fn count(operation: &'static Operation, twice: bool) -> anyhow::Result<f64> {
    let count = callgrind::instructions(operation)?;
    if twice {
        let again = callgrind::instructions(operation)?;
        let differ = (again / count - 1.0).abs() > AGREEMENT;
        ensure!(!differ, "{} takes {count} instructions, and then {again}", operation.name());
    }
    Ok((count * 10.0).round() / 10.0)
}

/// Tolerances are kept, and counts of what is no more are not.
fn update(counts: &[(&str, f64)]) -> anyhow::Result<()> {
    let known = Baseline::load(&file());
    let mut baseline =
        Baseline { compiler: compiler(), ..known.unwrap_or_else(|_| Baseline::new(compiler())) };
    baseline.instructions = counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    baseline.save(&file())?;
    Ok(output::line(&format!("{} counts written to {}", counts.len(), file().display()))?)
}

fn compare(arguments: &Arguments, counts: &[(&str, f64)]) -> anyhow::Result<()> {
    let baseline = Baseline::load(&file())?;
    let verdicts: Vec<Verdict> = counts.iter().map(|(name, count)| baseline.judge(name, *count)).collect();
    output::write(table(&baseline, counts, &verdicts).to_string().as_bytes())?;
    if baseline.compiler != compiler() {
        output::line(&format!(
            "The baseline was compiled by {}, this by {}.",
            baseline.compiler,
            compiler()
        ))?;
    }
    let gone = |name: &&String| arguments.wants(name) && !counts.iter().any(|(counted, _)| counted == name);
    if let Some(name) = baseline.instructions.keys().find(gone) {
        bail!("there is no operation {name} any more; .ci/instructions --update forgets it");
    }
    let failed = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::More | Verdict::New)).count();
    ensure!(
        failed == 0,
        "{failed} operations are not as in the baseline; .ci/instructions --update accepts them"
    );
    Ok(())
}

fn table(baseline: &Baseline, counts: &[(&str, f64)], verdicts: &[Verdict]) -> Table {
    let column = |name: &str| Column { group: String::new(), name: name.to_owned() };
    let mut table = Table::new(["operation", "instructions", "baseline", "change", ""].map(column).to_vec());
    for ((name, count), verdict) in counts.iter().zip(verdicts) {
        let known = baseline.instructions.get(*name);
        let [known, change] = known.map_or(["".to_owned(), "".to_owned()], |known| {
            [format!("{known:.0}"), format!("{:+.1} %", (count / known - 1.0) * 100.0)]
        });
        table.push(vec![(*name).to_owned(), format!("{count:.0}"), known, change, word(*verdict).to_owned()]);
    }
    table
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Same => "",
        Verdict::Fewer => "fewer",
        Verdict::More => "MORE",
        Verdict::New => "NEW",
    }
}

fn compiler() -> String {
    machine::said("rustc", &["--version"])
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml")
}
