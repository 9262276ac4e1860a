//! Arguments in whose place people put a whole token by mistake. Unlike clap's own errors, those here never repeat a value.

use std::{ffi::OsStr, path::PathBuf};

use clap::{
    Arg, Command, Error,
    builder::{TypedValueParser, ValueParser},
    error::ErrorKind,
};
use proto::{Credential, TokenId};

/// A token id; of a whole token its id is taken.
pub(super) fn token_id() -> ValueParser {
    Discreet(|value| {
        let text = value.to_str().unwrap_or_default();
        let id = TokenId::parse(text);
        let id =
            id.or_else(|error| text.parse().map(|credential: Credential| credential.token).or(Err(error)));
        id.map_err(|error| error.to_string())
    })
    .into()
}

/// The name of a file, and not a token.
pub(super) fn file() -> ValueParser {
    Discreet(|value| {
        if value.to_str().is_some_and(is_token) {
            return Err("that is a token, and the name of a file is needed".to_owned());
        }
        Ok(PathBuf::from(value))
    })
    .into()
}

/// Whether a text looks like a token, be it cut off.
fn is_token(text: &str) -> bool {
    let secret = text.strip_prefix(TokenId::PREFIX).and_then(|text| text.split_once('_'));
    secret.is_some_and(|(id, secret)| !id.contains('.') && secret.len() > 20 && !secret.contains(['.', '/']))
}

#[derive(Clone)]
struct Discreet<T>(fn(&OsStr) -> Result<T, String>);

impl<T: Clone + Send + Sync + 'static> TypedValueParser for Discreet<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let argument = argument.map(ToString::to_string).unwrap_or_default();
        (self.0)(value).map_err(|why| {
            Error::raw(ErrorKind::ValueValidation, format!("invalid value for '{argument}': {why}\n"))
                .with_cmd(command)
        })
    }
}
