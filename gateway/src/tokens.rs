//! The token file: which credentials exist and which agents they are for.
//!
//! ```toml
//! master_key = "<16 digits>"         # fingerprint of the master key, once there was one
//!
//! [[token]]
//! id = "itk_k3v9x0q2mw7a"
//! name = "the shop's server"         # for people only, like created and rotated
//! secret = "<32 bytes in base64url>" # or: generation = 1, and the secret is derived from the master key
//! agent_ids = ["myapp"]              # or ["*"] for any
//! created = "2026-11-23T12:00:00Z"
//! expires = "2027-11-23T12:00:00Z"
//! max_sessions = 4
//! max_concurrent = 100               # on each session
//! previous_secret = "..."            # or: previous_generation = 1
//! previous_until = "2026-12-24T12:00:00Z"
//! rotated = "2026-12-23T12:00:00Z"
//! revoked = "2026-12-31T12:00:00Z"
//! ```
//!
//! Invariant: no error and no log line here repeats a part of the file, since any part may be a misplaced secret.

mod entry;
mod error;
mod generate;
mod master_key;
mod store;
pub mod time;

use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt as _, path::Path, time::SystemTime};

use proto::TokenId;
use serde::Deserialize;
use session::Credentials;
use zeroize::Zeroizing;

use entry::RawEntry;
pub use entry::{TokenEntry, TokenKey, TokenState, is_token_name};
pub use error::TokenFileError;
pub use generate::{RandomnessError, generate};
pub use master_key::MasterKey;
pub use store::Rotation;

/// A token file that was read and checked.
#[derive(Clone, Debug)]
pub struct TokenFile {
    /// The fingerprint of the key that derived tokens come from, if it was written down.
    pub master_key: Option<String>,
    /// The tokens in the order of the file, each id once.
    pub entries: Vec<TokenEntry>,
}

impl TokenFile {
    /// Reads and checks a token file. Warns in the log if others than its owner can read it.
    ///
    /// # Errors
    /// [`TokenFileError`] names the file and the entry, and shows neither secret nor content.
    pub fn load(path: &Path) -> Result<Self, TokenFileError> {
        let text = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|source| TokenFileError::Read { path: path.to_owned(), source })?;
        warn_if_exposed(path);
        Self::parse(&text, path)
    }

    /// Appends `entry` to the file, which is made if it does not exist. Afterwards only its owner can read it, and `master` is
    /// known as the key that its derived tokens come from.
    ///
    /// The file is replaced as a whole, so that a reader sees it with the entry or without. What was in it stays,
    /// comments included. Several processes may add at the same time.
    ///
    /// # Errors
    /// [`TokenFileError`] if the file cannot be read or written, would not be valid afterwards, or has tokens of another
    /// master key.
    pub fn add(path: &Path, entry: &TokenEntry, master: Option<&MasterKey>) -> Result<(), TokenFileError> {
        store::append(path, entry, master)
    }

    /// Gives a token a new key. The old one stays good for as long as `rotation` says.
    ///
    /// # Errors
    /// [`TokenFileError`] as for [`TokenFile::add`], and if there is no such token or it cannot have another key.
    pub fn rotate(path: &Path, id: &TokenId, rotation: Rotation<'_>) -> Result<TokenEntry, TokenFileError> {
        store::rotate(path, id, rotation)
    }

    /// Withdraws a token, which stays in the file as a record of that. Returns whether it was not withdrawn before.
    ///
    /// # Errors
    /// [`TokenFileError`] as for [`TokenFile::add`], and if there is no such token.
    pub fn revoke(path: &Path, id: &TokenId, now: SystemTime) -> Result<bool, TokenFileError> {
        store::revoke(path, id, now)
    }

    /// Withdraws a token and removes it from the file.
    ///
    /// # Errors
    /// [`TokenFileError`] as for [`TokenFile::revoke`].
    pub fn purge(path: &Path, id: &TokenId) -> Result<(), TokenFileError> {
        store::purge(path, id)
    }

    /// The token called `id`.
    ///
    /// # Errors
    /// [`TokenFileError::Unknown`] if there is none; `path` is where it was looked for.
    pub fn entry(&self, id: &TokenId, path: &Path) -> Result<&TokenEntry, TokenFileError> {
        let entry = self.entries.iter().find(|entry| entry.id == *id);
        entry.ok_or_else(|| TokenFileError::Unknown { path: path.to_owned(), id: id.clone() })
    }

    /// What the tokens stand for.
    ///
    /// # Errors
    /// [`TokenFileError::NoMasterKey`] if one of them is derived and there is no `master` key, and
    /// [`TokenFileError::OtherMasterKey`] if it is derived from another one.
    pub fn credentials(
        &self,
        master: Option<&MasterKey>,
        path: &Path,
    ) -> Result<Credentials, TokenFileError> {
        self.check_master(master, path)?;
        let grants = self.entries.iter().map(|entry| match entry.grant(master) {
            Some(grant) => Ok((entry.id.clone(), grant)),
            None => Err(TokenFileError::NoMasterKey { path: path.to_owned(), id: entry.id.clone() }),
        });
        grants.collect()
    }

    /// Whether its derived tokens come from `master`, as far as the file says.
    fn check_master(&self, master: Option<&MasterKey>, path: &Path) -> Result<(), TokenFileError> {
        let fits = match (&self.master_key, master) {
            (Some(known), Some(master)) => *known == master.fingerprint(),
            _ => true,
        };
        if fits || !self.entries.iter().any(TokenEntry::is_derived) {
            return Ok(());
        }
        Err(TokenFileError::OtherMasterKey { path: path.to_owned() })
    }

    fn parse(text: &str, path: &Path) -> Result<Self, TokenFileError> {
        let content: Content = toml::from_str(text).map_err(|error| TokenFileError::Syntax {
            path: path.to_owned(),
            line: error.span().and_then(|span| text.get(..span.start)).unwrap_or("").matches('\n').count()
                + 1,
        })?;
        let master_key = content.master_key.clone();
        let entries = numbered(content, path).collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::new();
        match entries.iter().find(|entry| !seen.insert(&entry.id)) {
            Some(twice) => Err(TokenFileError::Duplicate { path: path.to_owned(), id: twice.id.clone() }),
            None => Ok(Self { master_key, entries }),
        }
    }
}

/// The file as TOML has it, before anything in it is believed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    master_key: Option<String>,
    #[serde(default)]
    token: Vec<RawEntry>,
}

fn numbered(content: Content, path: &Path) -> impl Iterator<Item = Result<TokenEntry, TokenFileError>> {
    content.token.into_iter().zip(1..).map(|(raw, number)| raw.check(number, path))
}

fn warn_if_exposed(path: &Path) {
    if let Some(mode) = exposure(path) {
        tracing::warn!(path = %path.display(), mode = format_args!("{mode:o}"),
            "others than its owner can use the token file; run chmod 600 on it");
    }
}

/// The mode of a file that others than its owner can use.
pub(crate) fn exposure(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(test)]
mod tests;
