use std::{
    env, io,
    process::{Command, Output},
};

use anyhow::{Context as _, ensure};

use super::{Operation, operations};

/// The first argument of a program that shall do one operation instead of measuring.
const FLAG: &str = "--repeat";

/// A child of the bench that does one operation so many times.
#[derive(Clone, Copy, Debug)]
pub struct Repeat {
    operation: &'static Operation,
    times: u32,
}

impl Repeat {
    /// What the arguments of this program ask to be repeated, if they do. The bench calls it before anything else.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Option<Self> {
        let args: Vec<String> = args.into_iter().skip(1).collect();
        let [flag, name, times] = &args[..] else { return None };
        let operation = operations().find(|operation| operation.name() == name)?;
        (flag == FLAG).then_some(Self { operation, times: times.parse().ok()? })
    }

    /// Does it.
    pub fn play(self) {
        self.operation.repeat(self.times);
    }

    fn args(self) -> [String; 3] {
        [FLAG.to_owned(), self.operation.name().to_owned(), self.times.to_string()]
    }
}

/// Whether valgrind is there.
pub(super) fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Instructions that an operation takes once: what doing it twice as often costs more, shared among what was done more.
pub(super) fn instructions(operation: &'static Operation) -> anyhow::Result<f64> {
    let times = operation.times();
    let once = collected(Repeat { operation, times })?;
    let twice = collected(Repeat { operation, times: 2 * times })?;
    Ok(share(once, twice, times))
}

fn share(once: u64, twice: u64, times: u32) -> f64 {
    twice.saturating_sub(once) as f64 / f64::from(times)
}

/// Large copies are loops of vector instructions on every machine: as `rep movsb`, which only some have, they count as one
/// instruction per byte.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=0x40000000";

/// All instructions of a process that does this. The environment is the same everywhere, since its size shifts the stack.
fn collected(repeat: Repeat) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--"]);
    command.arg(env::current_exe()?).args(repeat.args());
    command.env_clear().env("GLIBC_TUNABLES", TUNABLES);
    let Output { status, stderr, .. } = command.output().context("valgrind cannot be run")?;
    let said = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "valgrind ended with {status} at {}:\n{said}", repeat.operation.name());
    Ok(total(&said).ok_or_else(|| io::Error::other("valgrind names no count of instructions"))?)
}

/// The number in the line `==pid== Collected : 123`.
fn total(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_once_does_not_count() {
        assert_eq!(share(1_000_200, 1_000_400, 100), 2.0);
        assert_eq!(share(5, 3, 100), 0.0);
    }

    #[test]
    fn the_total_is_found() {
        let said = "==7== Events    : Ir\n==7== Collected : 260471\n==7== \n";
        assert_eq!(total(said), Some(260_471));
        assert_eq!(total("==7== killed"), None);
    }

    #[test]
    fn a_repetition_survives_the_command_line() {
        let operation = operations().next().unwrap();
        let args = std::iter::once("micro".to_owned()).chain(Repeat { operation, times: 7 }.args());
        let repeat = Repeat::from_args(args).unwrap();
        assert_eq!((repeat.operation.name(), repeat.times), (operation.name(), 7));
        assert!(Repeat::from_args(["micro", "--bench"].map(str::to_owned)).is_none());
    }
}
