use std::{
    io::{self, IsTerminal as _},
    time::{Duration, SystemTime},
};

use ::cli::{Failure, Span};
use gateway::tokens::{self, Rotation, TokenFile, TokenKey, TokenState, time};
use proto::{Credential, TokenId};

use super::{super::discreet, Audit, Master, Tokens, file};

/// Long enough for people to bring the new secret to the agents.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
/// Longer overlaps defeat what rotation is for, and would not fit into a calendar at some point.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Rotate {
    /// The token, e.g. itk_k3v9x0q2mw7a
    #[arg(value_name = "ID", value_parser = discreet::token_id())]
    id: TokenId,
    /// How long the old secret stays good; 0s ends it at once [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = overlap)]
    overlap: Option<Duration>,
    #[command(flatten)]
    master: Master,
    #[command(flatten)]
    tokens: Tokens,
    #[command(flatten)]
    audit: Audit,
}

fn overlap(text: &str) -> Result<Duration, String> {
    let Span(overlap) = text.parse().map_err(|error: ::cli::InvalidSpan| error.to_string())?;
    if overlap > LONGEST { Err("at most a year is possible".to_owned()) } else { Ok(overlap) }
}

impl Rotate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let audit = self.audit.open()?;
        let path = &self.tokens.tokens;
        let now = SystemTime::now();
        let before = self.tokens.load()?;
        let state = before.entry(&self.id, path).map_err(file::failure)?.state(now);
        let master = self.master.load()?;
        let fresh = tokens::generate().map_err(Failure::runtime)?.secret;
        let overlap = self.overlap.unwrap_or(OVERLAP);
        let rotation = Rotation { fresh, master: master.as_ref(), now, overlap };
        let entry = TokenFile::rotate(path, &self.id, rotation).map_err(file::failure)?;
        audit.tell("token_rotate", &self.id);

        let secret = match (entry.key, master) {
            (TokenKey::Stored(secret), _) => secret,
            (TokenKey::Derived(generation), Some(master)) => master.secret(&self.id, generation),
            (TokenKey::Derived(_), None) => unreachable!("without a master key a derived key is not rotated"),
        };
        super::print(&Credential { token: self.id, secret })?;
        if state == TokenState::Rotating {
            eprintln!("the secret before the last one was still good; it is not any more");
        }
        if io::stdout().is_terminal() {
            match entry.previous {
                Some((_, until)) => eprintln!("the old secret is good until {}", time::text(until)),
                None => eprintln!("the old secret is not good any more"),
            }
        }
        audit.close()
    }
}
