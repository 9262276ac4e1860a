//! `token`: the life of credentials, one file per command.

mod file;
mod list;
mod new;
mod revoke;
mod rotate;
mod show;

use std::io::{self, Write as _};

use ::cli::Failure;
use proto::{Credential, TokenId};

pub(super) use self::file::master_key_file;
use self::file::{Audit, Master, Tokens};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token, store it in the token file and print it
    ///
    /// What is printed is the only copy that an agent can use: give it to the agent as INDRANET_TOKEN.
    New(new::New),
    /// List the tokens, without their secrets
    List(list::List),
    /// Show one token, without its secret
    Show(show::Show),
    /// Give a token a new secret and print it; the old one stays good for a while
    ///
    /// Give what is printed to the agent as INDRANET_TOKEN and start it anew before the overlap is over. A gateway that
    /// runs takes note at once. Sessions that began with the old secret end with the overlap.
    Rotate(rotate::Rotate),
    /// Withdraw a token; a gateway that runs ends its sessions at once
    Revoke(revoke::Revoke),
}

impl Command {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::New(new) => new.run(),
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Rotate(rotate) => rotate.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

/// The secret is stored, but nobody has seen it.
#[derive(Debug, thiserror::Error)]
#[error("cannot print the token; revoke {id} and make another")]
struct Unseen {
    id: TokenId,
    source: io::Error,
}

/// Prints a credential. Only it goes to stdout, so that `INDRANET_TOKEN=$(gateway-tunnel token new ...)` works. Unlike
/// elsewhere a closed pipe is an error: nobody would know the token.
fn print(credential: &Credential) -> Result<(), Failure> {
    let write = || {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", *credential.reveal())?;
        stdout.flush()
    };
    write().map_err(|source| Failure::runtime(Unseen { id: credential.token.clone(), source }))
}
