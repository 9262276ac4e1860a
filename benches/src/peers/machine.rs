use std::{fs, process::Command, time::Duration};

use tokio::time::sleep;

/// Where and when a run took place, as a reader must know to judge it.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) model: String,
    pub(crate) kernel: String,
    pub(crate) memory_mib: u64,
    /// How much of all cores' time was left in the second before the run, from 0 to 1.
    pub(crate) idle: f64,
    pub(crate) date: String,
    /// What was measured, of our own history.
    pub(crate) commit: String,
}

impl Machine {
    /// Looks around; what cannot be found is `unknown`.
    pub(crate) fn look(idle: f64) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        Self {
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            model: field(&cpuinfo, "model name").unwrap_or(UNKNOWN).to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: memory_mib(&read("/proc/meminfo")),
            idle,
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            commit: said("git", &["describe", "--always", "--dirty"]),
        }
    }
}

const UNKNOWN: &str = "unknown";

/// What is idle during the next second.
pub(crate) async fn idle() -> f64 {
    let before = cpu_ticks(&read("/proc/stat"));
    sleep(Duration::from_secs(1)).await;
    let after = cpu_ticks(&read("/proc/stat"));
    before.zip(after).map_or(0.0, |(before, after)| {
        share(after.0.saturating_sub(before.0), after.1.saturating_sub(before.1))
    })
}

/// Those of the idle task, and all. Waiting for a disk is idling, and what a hypervisor took is not.
fn cpu_ticks(stat: &str) -> Option<(u64, u64)> {
    let ticks: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map_while(|tick| tick.parse().ok()).collect();
    // Guests' time, which comes after the first eight, is in the users' already.
    Some((ticks.get(3)? + ticks.get(4)?, ticks.iter().take(8).sum()))
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim())
}

fn memory_mib(meminfo: &str) -> u64 {
    let kib = field(meminfo, "MemTotal").and_then(|value| value.strip_suffix("kB")?.trim().parse().ok());
    kib.unwrap_or(0) >> 10
}

pub(crate) fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or(UNKNOWN.to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2: GHz\nMemTotal:  2048 kB\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 2: GHz"));
        assert_eq!(field(text, "bogomips"), None);
        assert_eq!(memory_mib(text), 2);
    }

    #[test]
    fn idle_time_is_a_part_of_all() {
        assert_eq!(cpu_ticks("cpu  1 2 3 40 5 6 7 8 100 100\ncpu0 0\n"), Some((45, 72)));
        assert_eq!(cpu_ticks(""), None);
        assert_eq!(share(1, 4), 0.25);
    }

    #[test]
    fn this_machine_is_one() {
        let machine = Machine::look(1.0);
        assert!(machine.cores > 0 && machine.memory_mib > 0, "{machine:?}");
    }
}
