use std::time::SystemTime;

use ::cli::{Failure, output};
use gateway::tokens::TokenFile;
use proto::TokenId;

use super::{Audit, Tokens, file};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Revoke {
    /// The token, e.g. itk_k3v9x0q2mw7a
    #[arg(value_name = "ID", value_parser = TokenId::parse)]
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
        self.audit.open()?;
        let path = &self.tokens.tokens;
        if self.purge {
            TokenFile::purge(path, &self.id).map_err(file::failure)?;
            file::tell("token_purge", &self.id);
        } else {
            TokenFile::revoke(path, &self.id, SystemTime::now()).map_err(file::failure)?;
            file::tell("token_revoke", &self.id);
        }
        let done = if self.purge { "removed" } else { "revoked" };
        output::line(&format!("{} {done}", self.id)).map_err(Failure::runtime)
    }
}
