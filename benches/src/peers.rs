//! The real programs beside others of their kind: reverse proxies, TCP tunnels, HTTP tunnels.
//!
//! [`Arguments`] say how long and what; contenders whose programs are not here are left out and named. [`run`] does it
//! and writes a page, with all figures as JSON and plots beside it.

use anyhow::ensure;
use cli::{Failure, output};
use tokio::runtime::Builder;

pub(crate) mod arguments;
mod cases;
mod contenders;
pub(crate) mod install;
pub(crate) mod launch;
mod ledger;
mod life;
mod loads;
pub(crate) mod machine;
mod measure;
mod metrics;
mod page;
mod plots;
mod programs;
mod running;
mod targets;

pub use arguments::Arguments;

use self::{
    contenders::{CONTENDERS, Contender},
    machine::Machine,
    measure::{Bench, Findings},
    page::{Absent, Page},
    programs::Programs,
};

/// Measures and shows what the arguments ask for.
///
/// # Errors
/// A [`Failure`] if the run could not be made, or if one of our own programs failed in it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.measures() { measured(&arguments).map_err(Failure::runtime) } else { Ok(()) }
}

fn measured(arguments: &Arguments) -> anyhow::Result<()> {
    let target = arguments::target();
    let cache = target.join("bench/installed");
    let bin_dir = arguments.bin_dir();
    if bin_dir.is_none() {
        install::build_ours()?;
    }
    let programs = Programs::new(bin_dir.as_deref().unwrap_or(&target.join("release")), &cache);
    if arguments.installs() {
        install::install(&programs, &cache);
    }
    let (contenders, absent) = present(arguments, &programs);
    let names = || CONTENDERS.iter().map(|contender| contender.name).collect::<Vec<_>>().join("; ");
    ensure!(!contenders.is_empty(), "nobody takes part; there are: {}", names());
    let plan = arguments.plan();
    let bench = Bench::new(plan, &programs, &contenders)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let machine = Machine::look(runtime.block_on(machine::idle()));
    let findings = runtime.block_on(bench.measure(&arguments.cases()))?;
    let versions = contenders.iter().map(|contender| programs.version(contender)).collect();
    let page = Page { machine, bin_dir, plan, contenders, versions, absent, findings };
    output::write(page.markdown("peers")?.as_bytes())?;
    page.save(&arguments.page().unwrap_or_else(|| target.join("bench/peers.md")))?;
    own_failures(&page.findings)
}

/// Those who can take part, and the others with the program that they lack.
fn present(arguments: &Arguments, programs: &Programs) -> (Vec<&'static Contender>, Vec<Absent>) {
    let mut absent = Vec::new();
    let mut present = Vec::new();
    for contender in CONTENDERS.iter().filter(|contender| arguments.wants(contender)) {
        match programs.missing(contender) {
            None => present.push(contender),
            Some(program) => {
                eprintln!("without {}: there is no {program} here", contender.name);
                absent.push(Absent { contender: contender.name, program });
            }
        }
    }
    (present, absent)
}

/// Others may fail, and the page says so.
fn own_failures(findings: &Findings) -> anyhow::Result<()> {
    let own = findings.troubles.iter().find(|trouble| contenders::OURS.contains(&trouble.contender));
    match own {
        None => Ok(()),
        Some(trouble) => anyhow::bail!("{}: {}: {}", trouble.contender, trouble.case, trouble.what),
    }
}
