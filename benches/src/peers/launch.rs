use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Child, ChildError, Ending};

/// How a program is started, again if need be.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// For messages, e.g. `rathole server`.
    pub(crate) name: &'static str,
    program: PathBuf,
    args: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
    ending: Ending,
}

impl Launch {
    pub(crate) fn new(name: &'static str, program: impl AsRef<Path>) -> Self {
        let program = program.as_ref().to_owned();
        Self { name, program, args: Vec::new(), variables: Vec::new(), ending: Ending::default() }
    }

    pub(crate) fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// For a program that has children of its own.
    pub(crate) fn with_ending(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }

    /// Starts it such that it ends with the bench, however that ends: most peers do not watch their stdin.
    pub(crate) fn start(&self) -> Result<Child, ChildError> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(&self.program).args(&self.args);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        Ok(Child::spawn(self.name, &mut command)?.with_ending(self.ending))
    }
}
