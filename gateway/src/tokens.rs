//! The token file: which credentials exist and which agents they are for.
//!
//! ```toml
//! [[token]]
//! id = "itk_k3v9x0q2mw7a"
//! secret = "<32 bytes in base64url>"
//! agent_ids = ["myapp"]              # or ["*"] for any
//! created = "2026-11-23T12:00:00Z"   # for people only
//! ```
//!
//! Invariant: no error and no log line here repeats a part of the file, since any part may be a misplaced secret.

mod error;
mod generate;
mod store;

use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt as _, path::Path};

use proto::{InvalidAgentId, Secret, TokenId};
use serde::Deserialize;
use session::AgentIdPattern;

pub use error::TokenFileError;
pub use generate::{RandomnessError, generate};

/// A token file that was read and checked.
#[derive(Clone, Debug)]
pub struct TokenFile {
    /// The tokens in the order of the file, each id once.
    pub entries: Vec<TokenEntry>,
}

/// One token of a [`TokenFile`].
#[derive(Clone, Debug)]
pub struct TokenEntry {
    /// The public half of the credential.
    pub id: TokenId,
    /// The key that its holder signs with.
    pub secret: Secret,
    /// The agent ids that its holder may claim; never empty.
    pub agent_ids: Vec<AgentIdPattern>,
}

impl TokenFile {
    /// Reads and checks a token file. Warns in the log if others than its owner can read it.
    ///
    /// # Errors
    /// [`TokenFileError`] names the file and the entry, and shows neither secret nor content.
    pub fn load(path: &Path) -> Result<Self, TokenFileError> {
        let text = fs::read_to_string(path)
            .map_err(|source| TokenFileError::Read { path: path.to_owned(), source })?;
        warn_if_exposed(path);
        Self::parse(&text, path)
    }

    /// Appends `entry` to the file, which is made if it does not exist. Afterwards only its owner can read it.
    ///
    /// The file is replaced as a whole, so that a reader sees it with the entry or without. What was in it stays,
    /// comments included. Several processes may add at the same time.
    ///
    /// # Errors
    /// [`TokenFileError`] if the file cannot be read or written, or would not be valid afterwards.
    pub fn add(path: &Path, entry: &TokenEntry) -> Result<(), TokenFileError> {
        store::append(path, entry)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, TokenFileError> {
        let content: Content = toml::from_str(text).map_err(|error| TokenFileError::Syntax {
            path: path.to_owned(),
            line: error.span().and_then(|span| text.get(..span.start)).unwrap_or("").matches('\n').count()
                + 1,
        })?;
        let entries = numbered(content, path).collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::new();
        match entries.iter().find(|entry| !seen.insert(&entry.id)) {
            Some(twice) => Err(TokenFileError::Duplicate { path: path.to_owned(), id: twice.id.clone() }),
            None => Ok(Self { entries }),
        }
    }
}

/// The file as TOML has it, before anything in it is believed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    token: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    id: String,
    secret: String,
    agent_ids: Vec<String>,
    #[serde(default, rename = "created")]
    _created: Option<String>,
}

fn numbered(content: Content, path: &Path) -> impl Iterator<Item = Result<TokenEntry, TokenFileError>> {
    content.token.into_iter().zip(1..).map(|(raw, number)| raw.check(number, path))
}

impl RawEntry {
    fn check(self, number: usize, path: &Path) -> Result<TokenEntry, TokenFileError> {
        let path = || path.to_owned();
        let id =
            TokenId::parse(&self.id).map_err(|source| TokenFileError::Id { path: path(), number, source })?;
        let secret = Secret::parse(&self.secret).map_err(|source| TokenFileError::Secret {
            path: path(),
            id: id.clone(),
            source,
        })?;
        let agent_ids = self.agent_ids.iter().map(|text| text.parse());
        let agent_ids = agent_ids
            .collect::<Result<Vec<AgentIdPattern>, InvalidAgentId>>()
            .map_err(|source| TokenFileError::AgentId { path: path(), id: id.clone(), source })?;
        if agent_ids.is_empty() {
            return Err(TokenFileError::NoAgentIds { path: path(), id });
        }
        Ok(TokenEntry { id, secret, agent_ids })
    }
}

fn warn_if_exposed(path: &Path) {
    let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = format_args!("{:o}", mode & 0o777),
            "others than its owner can use the token file; run chmod 600 on it");
    }
}

#[cfg(test)]
mod tests;
