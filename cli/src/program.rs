use std::{env, ffi::OsStr, process::ExitCode};

use clap::{
    Arg, Command, CommandFactory, Parser,
    error::{ContextKind, ContextValue},
};

use crate::{Failure, discreet};

/// A whole `main`: parses the command line as `C`, runs it, prints what went wrong on stderr, and returns the exit code.
///
/// A command line that clap does not take ends with 2; `--help` and `--version` end with 0.
pub fn run<C: Parser>(command: impl FnOnce(C) -> Result<(), Failure>) -> ExitCode {
    let arguments = match parse::<C>() {
        Ok(arguments) => arguments,
        Err(error) => {
            print(&error);
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

/// An error repeats what was given, but no secret in it.
fn print(error: &clap::Error) {
    let text = error.to_string();
    let shown = discreet::redacted(&text);
    if error.use_stderr() && shown != text {
        eprint!("{shown}");
    } else {
        // A reader that closed the pipe has seen enough of the help text.
        let _ = error.print();
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
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    let mut matches = matches.map_err(|error| with_variable(error, command.clone()))?;
    C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Says from which variable a wrong value is; clap speaks of the flag, which nobody has given.
fn with_variable(mut error: clap::Error, mut command: Command) -> clap::Error {
    // Arguments have no whole name before that.
    command.build();
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    if let (Some(flag), Some(value)) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue))
        && let Some(argument) = find(&command, &flag)
    {
        let name = name(argument, OsStr::new(&value));
        error.insert(ContextKind::InvalidArg, ContextValue::String(name));
    }
    error
}

/// An argument that errors call by this name and that can be given as a variable.
fn find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let mut arguments = command.get_arguments();
    let found = arguments.find(|argument| argument.get_env().is_some() && argument.to_string() == name);
    found.or_else(|| command.get_subcommands().find_map(|command| find(command, name)))
}

/// What an argument that has this value is called: with its variable if the value stands there.
pub(crate) fn name(argument: &Arg, value: &OsStr) -> String {
    let is_there = |variable: &&OsStr| {
        let text = env::var_os(variable).unwrap_or_default();
        let is_in_list =
            |text: &str| value.to_str().is_some_and(|value| text.split(',').any(|part| part == value));
        text == value || text.to_str().is_some_and(is_in_list)
    };
    match argument.get_env().filter(is_there) {
        Some(variable) => format!("{} ({argument})", variable.display()),
        None => argument.to_string(),
    }
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
