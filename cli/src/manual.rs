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
        let mut command = without_hidden(&program::command::<C>());
        let name = command.get_name().to_owned();
        // Written to memory first: clap_complete panics when its writer fails.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        output::write(&script).map_err(Failure::runtime)
    }
}

/// What is completed of a command, which clap_complete does not ask: what help hides shall not be proposed. Arguments cannot be
/// taken away from a command, so this is a new one.
fn without_hidden(command: &Command) -> Command {
    // It lives as long as the program, which prints a script and ends.
    let name: &'static str = command.get_name().to_owned().leak();
    let mut shown = Command::new(name)
        .args(command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned())
        .subcommands(command.get_subcommands().map(without_hidden))
        .propagate_version(command.is_propagate_version_set());
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(about) = command.get_long_about() {
        shown = shown.long_about(about.clone());
    }
    // That there is one is all that counts.
    if command.get_version().is_some() { shown.version("0") } else { shown }
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
