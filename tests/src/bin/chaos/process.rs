//! Processes of the product, and what the system tells about them.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

const POLL: Duration = Duration::from_millis(10);
/// Lines of a log that are shown.
const SHOWN: usize = 15;

/// A process whose log goes to a file. It ends when it is dropped.
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
    pid: Pid,
    log: PathBuf,
}

impl Process {
    /// Starts a program without any of our variables but those given.
    pub(crate) fn start<A: AsRef<OsStr>>(
        name: String,
        program: &Path,
        args: impl IntoIterator<Item = A>,
        variables: &[(&str, &str)],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let log = folder.join(&name).with_extension("log");
        // It ends with this program, however that ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(args)
            .env_clear()
            .env("XDG_CONFIG_HOME", folder)
            .envs(variables.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("it has no id")?;
        Ok(Self { name, child, pid, log })
    }

    /// Waits until its log has this text.
    pub(crate) async fn says(&mut self, text: &str, within: Duration) -> anyhow::Result<()> {
        let said = timeout(within, async {
            while !self.log().contains(text) {
                if let Some(status) = self.child.try_wait()? {
                    bail!("{} has ended with {status}:\n{}", self.name, self.log_end());
                }
                sleep(POLL).await;
            }
            Ok(())
        });
        said.await.with_context(|| format!("{} does not say {text:?}:\n{}", self.name, self.log_end()))?
    }

    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// It stands still, with all its sockets open.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// kill -9, and waits for the end.
    pub(crate) async fn kill(&mut self) {
        let _ = self.child.kill().await; // it may have ended
    }

    /// Waits for it to end by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> anyhow::Result<()> {
        let status = timeout(within, self.child.wait()).await;
        let status = status.with_context(|| format!("{} does not end:\n{}", self.name, self.log_end()))??;
        anyhow::ensure!(status.success(), "{} has ended with {status}:\n{}", self.name, self.log_end());
        Ok(())
    }

    /// Descriptors that are open.
    pub(crate) fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))?.count())
    }

    /// Resident memory, bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|value| value.split_whitespace().next()).context("no VmRSS")?;
        Ok(kib.parse::<u64>()? << 10)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        // While it was not waited for, its id is nobody else's.
        if self.child.id().is_some() {
            let _ = kill_process(self.pid, signal); // it may have ended
        }
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.pid))
    }
}
