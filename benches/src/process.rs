//! What the system tells about a process and its children, e.g. nginx and its workers.

use std::{fs, io, time::Duration};

use crate::cpu_time;

/// The CPU time of a process and its children, see [`cpu_time()`].
pub(crate) fn family_cpu_time(pid: u32) -> io::Result<Duration> {
    family(pid)?.into_iter().map(cpu_time).sum()
}

/// Bytes of memory that are resident for a process and its children; what they share is counted for each.
pub(crate) fn family_resident(pid: u32) -> io::Result<u64> {
    // A child that has ended, or has not begun, has none.
    let children = family(pid)?.into_iter().filter(|other| *other != pid);
    Ok(resident(pid)? + children.filter_map(|child| resident(child).ok()).sum::<u64>())
}

/// The process, and those that it forked.
fn family(pid: u32) -> io::Result<Vec<u32>> {
    let mut family = vec![pid];
    for entry in fs::read_dir("/proc")? {
        let Some(other) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that cannot be read has ended since.
        if fs::read_to_string(format!("/proc/{other}/stat")).is_ok_and(|stat| parent(&stat) == Some(pid)) {
            family.push(other);
        }
    }
    Ok(family)
}

/// The fourth field; the second is a name in parentheses, which may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

fn resident(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no VmRSS in the status of a process");
    vm_rss(&status).ok_or_else(invalid)
}

fn vm_rss(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::Child;

    #[test]
    fn a_name_may_look_like_anything() {
        assert_eq!(parent("7 (a b) c) S 42 7 7 0"), Some(42));
        assert_eq!(parent("nonsense"), None);
    }

    #[test]
    fn memory_is_given_in_kib() {
        assert_eq!(vm_rss("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"), Some(2 << 20));
        assert_eq!(vm_rss("Name:\tx\n"), None);
    }

    #[test]
    fn children_are_counted_with_their_parent() {
        let script = "sleep 5 & echo ready; read forever";
        let mut shell = Child::spawn("shell", Command::new("sh").args(["-c", script])).unwrap();
        shell.line().unwrap();
        let family = family(shell.pid()).unwrap();
        assert_eq!(family.len(), 2);
        assert!(family_resident(shell.pid()).unwrap() >= resident(shell.pid()).unwrap());
        assert!(family_cpu_time(shell.pid()).unwrap() > Duration::ZERO);
    }
}
