use std::time::SystemTime;

use ::cli::{Failure, output};
use gateway::tokens::TokenFile;
use proto::TokenId;

use super::{super::discreet, Audit, Tokens, file};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Revoke {
    /// The token, e.g. itk_k3v9x0q2mw7a
    #[arg(value_name = "ID", value_parser = discreet::token_id())]
    id: TokenId,
    /// Remove the token from the file instead of keeping it there as revoked
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    tokens: Tokens,
    #[command(flatten)]
    audit: Audit,
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Failure> {
        let audit = self.audit.open()?;
        let path = &self.tokens.tokens;
        let done = if self.purge {
            TokenFile::purge(path, &self.id).map_err(file::failure)?;
            audit.tell("token_purge", &self.id);
            "removed"
        } else if TokenFile::revoke(path, &self.id, SystemTime::now()).map_err(file::failure)? {
            audit.tell("token_revoke", &self.id);
            "revoked"
        } else {
            "was revoked before"
        };
        output::line(&format!("{} {done}", self.id)).map_err(Failure::runtime)?;
        audit.close()
    }
}
