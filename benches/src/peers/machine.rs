use std::{fs, process::Command};

/// Where and when a run took place, as a reader must know to judge it.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) model: String,
    pub(super) kernel: String,
    pub(super) memory_mib: u64,
    /// The one-minute load average before the run.
    pub(super) load: String,
    pub(super) date: String,
    /// What was measured, of our own history.
    pub(super) commit: String,
}

impl Machine {
    /// Looks around; what cannot be found is `unknown`.
    pub(super) fn look() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let first = |path: &str| read(path).split_whitespace().next().unwrap_or(UNKNOWN).to_owned();
        Self {
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            model: field(&cpuinfo, "model name").unwrap_or(UNKNOWN).to_owned(),
            kernel: first("/proc/sys/kernel/osrelease"),
            memory_mib: memory_mib(&read("/proc/meminfo")),
            load: first("/proc/loadavg"),
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            commit: said("git", &["describe", "--always", "--dirty"]),
        }
    }
}

const UNKNOWN: &str = "unknown";

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

fn said(program: &str, args: &[&str]) -> String {
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
    fn this_machine_is_one() {
        let machine = Machine::look();
        assert!(machine.cores > 0 && machine.memory_mib > 0, "{machine:?}");
    }
}
