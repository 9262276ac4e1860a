use std::{fs, io};

use anyhow::Context as _;

use crate::cpu_time;

/// What the system has counted for a process so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counters {
    /// Microseconds of CPU time.
    pub(super) cpu: f64,
    /// Ticks in user mode and in the kernel. They are sampled: good for shares, not for sums.
    user: u64,
    kernel: u64,
    /// Switches because there was nothing to do.
    pub(super) voluntary: u64,
    /// Switches because somebody else had to run.
    pub(super) involuntary: u64,
}

impl Counters {
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let [user, kernel] = ticks(&stat).context("/proc/<pid>/stat reads strangely")?;
        let (mut voluntary, mut involuntary) = (0, 0);
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            // One that ended since has nothing more to say.
            let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
            voluntary += field(&status, "voluntary_ctxt_switches:");
            involuntary += field(&status, "nonvoluntary_ctxt_switches:");
        }
        let cpu = cpu_time(pid).map_err(io::Error::other)?.as_secs_f64() * 1e6;
        Ok(Self { cpu, user, kernel, voluntary, involuntary })
    }

    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu - earlier.cpu,
            user: self.user.saturating_sub(earlier.user),
            kernel: self.kernel.saturating_sub(earlier.kernel),
            // Threads that ended since took theirs along.
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
        }
    }

    /// Microseconds that were spent in the kernel.
    pub(super) fn in_kernel(&self) -> f64 {
        self.cpu * self.kernel as f64 / (self.user + self.kernel).max(1) as f64
    }
}

/// The fields 14 and 15; the second is a name in parentheses, which may hold anything.
fn ticks(stat: &str) -> Option<[u64; 2]> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11).map_while(|field| field.parse().ok());
    Some([fields.next()?, fields.next()?])
}

fn field(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_behind_the_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 31 42 0 0 20 0 4 0 100";
        assert_eq!(ticks(stat), Some([31, 42]));
        assert_eq!(ticks("7"), None);
    }

    #[test]
    fn switches_of_one_kind_are_not_those_of_the_other() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t5\n";
        let both =
            ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"].map(|name| field(status, name));
        assert_eq!(both, [150, 5]);
    }

    #[test]
    fn the_kernel_has_its_share() {
        let counters = Counters { cpu: 100.0, user: 1, kernel: 3, ..Counters::default() };
        assert_eq!(counters.in_kernel(), 75.0);
        assert_eq!(Counters::default().in_kernel(), 0.0);
    }

    #[test]
    fn this_process_is_counted() {
        let before = Counters::of(std::process::id()).unwrap();
        assert!(before.cpu > 0.0);
        assert!(Counters::of(std::process::id()).unwrap().since(before).cpu >= 0.0);
    }
}
