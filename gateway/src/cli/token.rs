use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
};

use ::cli::Failure;
use gateway::tokens::{self, TokenEntry, TokenFile, TokenFileError};
use proto::Credential;
use session::AgentIdPattern;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a token, store it in the token file and print it
    ///
    /// What is printed is the only copy that an agent can use: give it to the agent as INDRANET_TOKEN.
    New(New),
}

#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Agent id that the token may claim, or "*" for any; may be repeated
    #[arg(long, env = "INDRANET_AGENT_ID", value_name = "ID", value_delimiter = ',', required = true)]
    agent_id: Vec<AgentIdPattern>,
    /// The token file; made if it does not exist
    #[arg(long, env = "INDRANET_TOKENS", value_name = "FILE")]
    tokens: PathBuf,
}

impl Command {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self::New(new) = self;
        new.run()
    }
}

/// The token is stored, but nobody has seen it.
#[derive(Debug, thiserror::Error)]
#[error("cannot print the token; remove {id} from the token file and make another")]
struct Unseen {
    id: proto::TokenId,
    source: io::Error,
}

impl New {
    fn run(self) -> Result<(), Failure> {
        let credential = tokens::generate().map_err(Failure::runtime)?;
        self.store(&credential)?;
        print(&credential)
            .map_err(|source| Failure::runtime(Unseen { id: credential.token.clone(), source }))?;
        if io::stdout().is_terminal() {
            eprintln!("stored in {}; give it to the agent as INDRANET_TOKEN", self.tokens.display());
        }
        Ok(())
    }

    fn store(&self, credential: &Credential) -> Result<(), Failure> {
        let entry = TokenEntry {
            id: credential.token.clone(),
            secret: credential.secret.clone(),
            agent_ids: self.agent_id.clone(),
        };
        TokenFile::add(&self.tokens, &entry).map_err(|error| match error {
            TokenFileError::Write { .. } => Failure::runtime(error),
            _ => Failure::configuration(error),
        })
    }
}

/// Only the token goes to stdout, so that `INDRANET_TOKEN=$(gateway-tunnel token new ...)` works. Unlike elsewhere a
/// closed pipe is an error: nobody would know the token.
fn print(credential: &Credential) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", *credential.reveal())?;
    stdout.flush()
}
