use std::process::ExitCode;

use clap::{Command, CommandFactory, Parser};

use crate::Failure;

/// A whole `main`: parses the command line as `C`, runs it, prints what went wrong on stderr, and returns the exit code.
///
/// A command line that clap does not take ends with 2; `--help` and `--version` end with 0.
pub fn run<C: Parser>(command: impl FnOnce(C) -> Result<(), Failure>) -> ExitCode {
    let arguments = match parse::<C>() {
        Ok(arguments) => arguments,
        Err(error) => {
            // A reader that closed the pipe has seen enough of the help text.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match command(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(failure.exit() as u8)
        }
    }
}

/// The command line of `C`, whose help never shows what an environment variable holds.
pub(crate) fn command<C: CommandFactory>() -> Command {
    hide_values(C::command())
}

fn hide_values(command: Command) -> Command {
    command.mut_args(|argument| argument.hide_env_values(true)).mut_subcommands(hide_values)
}

fn parse<C: Parser>() -> Result<C, clap::Error> {
    let mut command = command::<C>();
    let mut matches = command.try_get_matches_from_mut(std::env::args_os())?;
    C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    enum Arguments {
        Connect {
            /// Where to
            #[arg(long, env = "CARGO_PKG_NAME")]
            target: Option<String>,
        },
    }

    #[test]
    fn help_names_variables_and_hides_their_values() {
        let mut command = command::<Arguments>();
        let help = command.find_subcommand_mut("connect").unwrap().render_help().to_string();
        assert!(help.contains("[env: CARGO_PKG_NAME]"), "{help}");
    }
}
