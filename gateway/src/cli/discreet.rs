//! Arguments in whose place people put a whole token by mistake.

use ::cli::discreet;
use clap::builder::ValueParser;
use proto::{Credential, TokenId};

/// A token id; of a whole token its id is taken.
pub(super) fn token_id() -> ValueParser {
    discreet::parser(|value| {
        let text = value.to_str().unwrap_or_default();
        let id = TokenId::parse(text);
        let id =
            id.or_else(|error| text.parse().map(|credential: Credential| credential.token).or(Err(error)));
        id.map_err(|error| error.to_string())
    })
}
