use std::io;

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::{Failure, output, program};

/// Print a completion script for a shell
#[derive(Clone, Debug, clap::Args)]
pub struct Completions {
    /// The shell to complete in
    shell: Shell,
}

impl Completions {
    /// Prints the script for the program `C`. A closed pipe is no error.
    ///
    /// # Errors
    /// [`Failure`] if stdout cannot be written.
    pub fn print<C: CommandFactory>(&self) -> Result<(), Failure> {
        let mut command = program::command::<C>();
        let name = command.get_name().to_owned();
        // Written to memory first: clap_complete panics when its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        output::write(&script).map_err(Failure::runtime)
    }
}

/// Print a manual page in roff, e.g. for `man -l -`
#[derive(Clone, Debug, clap::Args)]
pub struct Manual {
    /// The command to describe; the program itself if none is named
    command: Vec<String>,
}

/// A manual page for a command that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("there is no command `{0}`, see --help for those there are")]
struct UnknownCommand(String);

impl Manual {
    /// Prints the page of the program `C` or one of its commands. A closed pipe is no error.
    ///
    /// # Errors
    /// [`Failure`] if there is no such command or stdout cannot be written.
    pub fn print<C: CommandFactory>(&self) -> Result<(), Failure> {
        let mut program = program::command::<C>();
        program.build();
        let command = self.find(program).map_err(Failure::configuration)?;
        let page = render(command).map_err(Failure::runtime)?;
        output::write(&page).map_err(Failure::runtime)
    }

    fn find(&self, program: Command) -> Result<Command, UnknownCommand> {
        self.command.iter().try_fold(program, |command, name| {
            command.find_subcommand(name).cloned().ok_or_else(|| UnknownCommand(name.clone()))
        })
    }
}

fn render(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    Ok(page)
}
