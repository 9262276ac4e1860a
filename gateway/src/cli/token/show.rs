use std::time::SystemTime;

use ::cli::{Failure, output};
use proto::TokenId;

use super::{super::discreet, Tokens, file, list::Row};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Show {
    /// The token, e.g. itk_k3v9x0q2mw7a
    #[arg(value_name = "ID", value_parser = discreet::token_id())]
    id: TokenId,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tokens: Tokens,
}

impl Show {
    pub(super) fn run(self) -> Result<(), Failure> {
        let tokens = self.tokens.load()?;
        let entry = tokens.entry(&self.id, &self.tokens.tokens).map_err(file::failure)?;
        let row = Row::new(entry, SystemTime::now());
        let text = if self.json {
            serde_json::to_string_pretty(&row).map_err(Failure::runtime)? + "\n"
        } else {
            row.fields().iter().map(|(name, value)| format!("{name:14}  {value}\n")).collect()
        };
        output::write(text.as_bytes()).map_err(Failure::runtime)
    }
}
