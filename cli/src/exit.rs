use std::fmt;

use crate::discreet;

/// How a program ends. The numbers are those of `sysexits.h`, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something failed while running.
    Runtime = 1,
    /// No gateway could be reached.
    Unreachable = 69,
    /// The gateway refused the agent.
    Refused = 77,
    /// A setting is missing or wrong.
    Configuration = 78,
}

/// An error that ends the program, and the exit code it ends with.
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    /// Ends the program with `exit` because of `error`.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }

    /// Something failed while running.
    pub fn runtime(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Runtime, error)
    }

    /// A setting is missing or wrong.
    pub fn configuration(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Configuration, error)
    }

    /// The code this failure ends the program with.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let causes = self.error.chain().skip(1).map(|cause| format!("\n  caused by: {cause}"));
        let text = format!("error: {}{}", self.error, causes.collect::<String>());
        // What was given is named in many places, and some of it is a secret that should stand elsewhere.
        f.write_str(&discreet::redacted(&text))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("exit", &self.exit).field("error", &self.error).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read it")]
    struct Unreadable(#[source] std::io::Error);

    #[test]
    fn a_failure_repeats_no_token() {
        let token = "itk_k3v9_q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng";
        let failure = Failure::configuration(Unreadable(std::io::Error::other(token)));
        assert_eq!(failure.to_string(), "error: cannot read it\n  caused by: itk_k3v9_***");
    }

    #[test]
    fn a_failure_names_every_cause_on_its_own_line() {
        let failure = Failure::configuration(Unreadable(std::io::Error::other("the disk is gone")));
        assert_eq!(failure.to_string(), "error: cannot read it\n  caused by: the disk is gone");
        assert_eq!(failure.exit() as u8, 78);
    }
}
