//! The command line of `agent-tunnel`: one file per command, and one per kind of text that is parsed.

mod check;
mod connect;
mod credential;
mod gateway_url;
mod health;
mod host;
mod proxy;
mod route;
mod settings;
mod sign;
mod slug;
mod status;
mod target;

use ::cli::{Completions, Failure, Layers, Manual};
use clap::{Parser, Subcommand};

use self::settings::Settings;

/// Makes a local HTTP service reachable through a gateway
///
/// The token is taken from the environment variable INDRANET_TOKEN or from a file. Every option can also be given as the
/// environment variable that its help names, and those of `connect` in a TOML file as well. A flag goes before a
/// variable, a variable before the file.
///
/// Exit codes: 0 success, 1 failure while running, 2 wrong usage or a variable that does not parse, 69 no gateway reached
/// (with --max-retries) or no link (`status`), 77 refused by the gateway, 78 wrong configuration.
#[derive(Debug, Parser)]
#[command(name = "agent-tunnel", version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a local service reachable until a signal ends it
    Connect(Box<Layers<Settings>>),
    /// Print a signed first frame as JSON, to speak to a gateway by hand with grpcurl
    Sign(sign::Sign),
    /// Show the agents of this user that run on this machine: 0 if all have a link, 69 if one has none or none runs
    Status(status::Ask),
    /// Check the settings of `connect`, print them all and do nothing else
    Validate(Box<Layers<Settings>>),
    Completions(Completions),
    Man(Manual),
}

impl Arguments {
    /// Runs the command to its end.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.command {
            Command::Connect(layers) => connect::connect(*layers),
            Command::Sign(sign) => sign.run(),
            Command::Status(ask) => ask.run(),
            Command::Validate(layers) => connect::validate(*layers),
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
