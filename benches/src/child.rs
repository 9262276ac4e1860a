use std::{
    collections::VecDeque,
    io::{self, BufRead as _, BufReader, Read, Write as _},
    process::{self, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::cpu_time;

/// How long a child may take to say something that is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of a child's log that are kept, to be shown if it dies.
const KEPT_LINES: usize = 20;

/// A process that belongs to a measurement. Dropping it ends it; if the bench itself is killed, its stdin closes.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    process: process::Child,
    lines: mpsc::Receiver<String>,
    /// Ends with the process, and returns the end of its log.
    log: Option<JoinHandle<String>>,
    ending: Ending,
}

/// How a child is ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// By SIGKILL.
    #[default]
    Kill,
    /// By SIGTERM, for one that has children of its own to end. It must obey at once.
    Terminate,
}

/// What went wrong with a child.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// It cannot be started.
    #[error("the {name} cannot be started")]
    Spawn {
        /// The child.
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It has ended, though it should not have.
    #[error("the {name} has ended with {status}; the end of its log:\n{log}")]
    Ended {
        /// The child.
        name: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote to stderr.
        log: String,
    },
    /// It lives and says nothing.
    #[error("the {name} is not ready after {} s", PATIENCE.as_secs())]
    Silent {
        /// The child.
        name: &'static str,
    },
    /// The system does not tell what it wants to know of it.
    #[error("the state of the {name} cannot be read")]
    State {
        /// The child.
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Child {
    /// Starts `command`; `name` is for messages, e.g. `gateway`.
    ///
    /// # Errors
    /// [`ChildError::Spawn`].
    pub fn spawn(name: &'static str, command: &mut Command) -> Result<Self, ChildError> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = piped.spawn().map_err(|source| ChildError::Spawn { name, source })?;
        let stdout = process.stdout.take().expect("stdout is piped");
        let stderr = process.stderr.take().expect("stderr is piped");
        let (heard, lines) = mpsc::channel();
        // Neither thread is waited for while the child lives: both end when its pipes close.
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| heard.send(line))
        });
        let log = Some(thread::spawn(move || last_lines(stderr)));
        Ok(Self { name, process, lines, log, ending: Ending::default() })
    }

    /// Chooses how dropping ends it.
    #[must_use]
    pub fn with_ending(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the next line of its stdout.
    ///
    /// # Errors
    /// [`ChildError::Ended`] if there will be none, [`ChildError::Silent`] if it takes too long.
    pub fn line(&mut self) -> Result<String, ChildError> {
        self.lines.recv_timeout(PATIENCE).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => ChildError::Silent { name: self.name },
            mpsc::RecvTimeoutError::Disconnected => match self.process.wait() {
                Ok(status) => self.ended(status),
                Err(source) => self.state(source),
            },
        })
    }

    /// Sends it an empty line, and waits for the line that answers.
    ///
    /// # Errors
    /// As [`Child::line`].
    pub fn ask(&mut self) -> Result<String, ChildError> {
        if let Some(stdin) = &mut self.process.stdin {
            let _ = stdin.write_all(b"\n"); // one that has ended does not answer
        }
        self.line()
    }

    /// Ends it by SIGKILL or, with [`Ending::Terminate`], by SIGTERM, and waits until it has ended.
    ///
    /// # Errors
    /// [`ChildError::State`].
    pub fn end(&mut self, ending: Ending) -> Result<(), ChildError> {
        let ended = match ending {
            Ending::Kill => self.process.kill(),
            Ending::Terminate => {
                kill_process(Pid::from_child(&self.process), Signal::TERM).map_err(Into::into)
            }
        };
        ended.and_then(|()| self.process.wait()).map(drop).map_err(|source| self.state(source))
    }

    /// Makes sure that it still runs.
    ///
    /// # Errors
    /// [`ChildError::Ended`] if it does not.
    pub fn check(&mut self) -> Result<(), ChildError> {
        match self.process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status)),
            Err(source) => Err(self.state(source)),
        }
    }

    /// The CPU time that it has used, see [`cpu_time()`].
    ///
    /// # Errors
    /// [`ChildError::State`].
    pub fn cpu_time(&self) -> Result<Duration, ChildError> {
        cpu_time(self.process.id()).map_err(|source| self.state(source))
    }

    fn ended(&mut self, status: ExitStatus) -> ChildError {
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        ChildError::Ended { name: self.name, status, log }
    }

    fn state(&self, source: io::Error) -> ChildError {
        ChildError::State { name: self.name, source }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = match self.ending {
            Ending::Kill => self.process.kill(),
            Ending::Terminate => {
                kill_process(Pid::from_child(&self.process), Signal::TERM).map_err(Into::into)
            }
        }; // it may have ended
        let _ = self.process.wait();
    }
}

fn last_lines(log: impl Read) -> String {
    let mut last = VecDeque::new();
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    Vec::from(last).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        Child::spawn("shell", Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn a_child_that_dies_is_reported_with_its_exit_and_its_log() {
        let mut child = shell("echo ready; echo 'no luck' >&2; exit 7");
        assert_eq!(child.line().unwrap(), "ready");
        let error = child.line().unwrap_err().to_string();
        assert_eq!(error, "the shell has ended with exit status: 7; the end of its log:\nno luck");
        assert!(child.check().is_err());
    }

    #[test]
    fn a_child_that_runs_is_well_and_costs_time() {
        let mut child = shell("echo ready; read forever");
        child.line().unwrap();
        child.check().unwrap();
        assert!(child.cpu_time().unwrap() > Duration::ZERO);
    }

    #[test]
    fn a_child_answers() {
        let mut child = shell("while read line; do echo here; done");
        assert_eq!(child.ask().unwrap(), "here");
        assert_eq!(child.ask().unwrap(), "here");
        assert!(shell("exit 0").ask().is_err());
    }

    #[test]
    fn only_the_end_of_a_log_is_kept() {
        let log: String = (0..100).map(|number| format!("{number}\n")).collect();
        let last = last_lines(log.as_bytes());
        assert_eq!((last.lines().next(), last.lines().count()), (Some("80"), KEPT_LINES));
    }
}
