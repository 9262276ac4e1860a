//! The command line of `gateway-tunnel`: one file per command.

mod check;
pub(crate) mod dev;
mod discreet;
mod key;
mod password;
mod serve;
mod settings;
mod token;

use ::cli::{Completions, Failure, Layers, Manual};
use clap::{Parser, Subcommand};

use self::settings::Settings;

/// Makes HTTP services behind agents reachable from the outside
///
/// Every option of a command can also be given as the environment variable that its help names, and those of `serve`
/// in a TOML file as well. A flag goes before a variable, a variable before the file.
///
/// Exit codes: 0 success, 1 failure while running, 2 wrong usage or a variable that does not parse, 78 wrong configuration.
#[derive(Debug, Parser)]
#[command(name = "gateway-tunnel", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a gateway
    Serve(Box<Layers<Settings>>),
    /// Run a gateway, a sample service and an agent on this machine, to try things out
    Dev(dev::DevSettings),
    /// Check the settings of `serve`, print them all and do nothing else
    Validate(Box<Layers<Settings>>),
    /// Manage the tokens of agents
    #[command(subcommand)]
    Token(token::Command),
    /// Make the key that secrets of tokens are derived from
    #[command(subcommand)]
    Key(key::Command),
    Password(password::Password),
    Completions(Completions),
    Man(Manual),
}

impl Arguments {
    /// Runs the command to its end.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Serve(layers) => serve::serve(*layers),
            Command::Dev(settings) => dev::dev(settings),
            Command::Validate(layers) => serve::validate(*layers),
            Command::Token(command) => command.run(),
            Command::Key(command) => command.run(),
            Command::Password(password) => password.run(),
            Command::Completions(completions) => completions.print::<Self>(),
            Command::Man(manual) => manual.print::<Self>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
