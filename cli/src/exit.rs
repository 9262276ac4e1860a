use std::fmt;

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
        write!(f, "error: {}", self.error)?;
        self.error.chain().skip(1).try_for_each(|cause| write!(f, "\n  caused by: {cause}"))
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
    fn a_failure_names_every_cause_on_its_own_line() {
        let failure = Failure::configuration(Unreadable(std::io::Error::other("the disk is gone")));
        assert_eq!(failure.to_string(), "error: cannot read it\n  caused by: the disk is gone");
        assert_eq!(failure.exit() as u8, 78);
    }
}
