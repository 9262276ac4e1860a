use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Calls by name.
pub(super) type Calls = BTreeMap<String, u64>;

/// A count of the system calls of a process, which begins when this is made and ends with it. It slows the process down,
/// so that more of its work shares a call than without it.
pub(super) struct Trace {
    strace: process::Child,
    summary: PathBuf,
    _dir: TempDir,
}

impl Trace {
    /// Begins to count. There may be no strace here, or no right to use it.
    pub(super) fn begin(pid: u32) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let summary = dir.path().join("summary");
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-p", &pid.to_string(), "-o"]).arg(&summary);
        let strace = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut trace = Self { strace: strace.context("there is no strace")?, summary, _dir: dir };
        trace.attached()?;
        Ok(trace)
    }

    /// Ends, and says how often each call was made.
    pub(super) fn end(mut self) -> anyhow::Result<Calls> {
        kill_process(Pid::from_child(&self.strace), Signal::INT)?;
        self.strace.wait()?;
        counted(&self.summary)
    }

    /// The first thing that strace says is that, or why not.
    fn attached(&mut self) -> io::Result<()> {
        let stderr = self.strace.stderr.take().expect("stderr is piped");
        let mut said = BufReader::new(stderr).lines();
        match said.next().transpose()? {
            Some(line) if line.contains("attached") => {
                // What more it has to say must not block it.
                std::thread::spawn(move || said.map_while(Result::ok).for_each(drop));
                Ok(())
            }
            line => Err(io::Error::other(line.unwrap_or_else(|| "strace says nothing".to_owned()))),
        }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = self.strace.kill(); // it has ended, if all went well
        let _ = self.strace.wait();
    }
}

fn counted(summary: &Path) -> anyhow::Result<Calls> {
    let text = fs::read_to_string(summary).context("strace left no summary")?;
    Ok(text.lines().filter_map(row).collect())
}

/// A row `% time, seconds, usecs/call, calls, errors or nothing, name`; heads, rules and the sum are none.
fn row(line: &str) -> Option<(String, u64)> {
    let cells: Vec<&str> = line.split_whitespace().collect();
    let name = cells.last().filter(|name| **name != "total" && cells.len() >= 5)?;
    cells[0].parse::<f64>().ok()?;
    Some(((*name).to_owned(), cells[3].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_in_a_summary() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.006000          12       500           sendto
 40.00    0.004000           8       500       123 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.010000          10      1000       123 total
";
        let rows: Calls = summary.lines().filter_map(row).collect();
        assert_eq!(rows, [("recvfrom".to_owned(), 500), ("sendto".to_owned(), 500)].into());
    }
}
