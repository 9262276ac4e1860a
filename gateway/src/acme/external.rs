//! An account that somebody has at the authority already, and to which that of this gateway is bound.

use std::{fs, io, path::PathBuf};

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use crate::tokens::exposure;

/// Base64url, with or without its padding: authorities hand out both.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// More than any authority gives.
const LONGEST: usize = 4096;

/// The account elsewhere to which the one at the authority is bound (external account binding, RFC 8555, section 7.3.4).
/// Only named here: the key is in its file until an account is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalAccount {
    /// What the authority calls its key.
    pub key_id: String,
    /// The file with that key, in base64url.
    pub key_file: PathBuf,
}

/// Why the key of an external account cannot be used. What is in the file is not repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExternalAccountError {
    /// The file cannot be read.
    #[error("cannot read the key for --acme-eab-kid from {}; --acme-eab-key-file names a file with the key that the authority gave", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no key in it.
    #[error("{} holds no key for --acme-eab-kid; --acme-eab-key-file names a file with the key in base64url, as the authority gave it, and nothing else", .0.display())]
    Malformed(PathBuf),
}

impl ExternalAccount {
    /// Whether its id may be what an authority calls a key.
    pub fn has_usable_id(&self) -> bool {
        (1..=1024).contains(&self.key_id.len()) && self.key_id.bytes().all(|byte| byte.is_ascii_graphic())
    }

    /// Reads the file. Warns in the log if others than its owner can read it.
    ///
    /// # Errors
    /// [`ExternalAccountError`] names the file and shows nothing of it.
    pub fn check(&self) -> Result<(), ExternalAccountError> {
        if let Some(mode) = exposure(&self.key_file) {
            tracing::warn!(path = %self.key_file.display(), mode = format_args!("{mode:o}"),
                "others than its owner can use the key of the external account; run chmod 600 on it");
        }
        self.key().map(drop)
    }

    fn key(&self) -> Result<Zeroizing<Vec<u8>>, ExternalAccountError> {
        let path = &self.key_file;
        let text = fs::read(path).map(Zeroizing::new);
        let text = text.map_err(|source| ExternalAccountError::Read { path: path.clone(), source })?;
        parse(&text).ok_or_else(|| ExternalAccountError::Malformed(path.clone()))
    }

    /// What binds an account that is being registered. Wiped from memory is what was read; the library's own copy is dropped
    /// with it.
    #[cfg(feature = "acme")]
    pub(super) fn binding(&self) -> Result<instant_acme::ExternalAccountKey, ExternalAccountError> {
        Ok(instant_acme::ExternalAccountKey::new(self.key_id.clone(), &self.key()?))
    }
}

fn parse(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = text.trim_ascii();
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    // As much as there can be: a vector that grows would leave a copy behind.
    let mut key = Zeroizing::new(vec![0; text.len()]);
    let length = BASE64URL.decode_slice(text, &mut key).ok()?;
    key.truncate(length);
    (length > 0).then_some(key)
}

#[cfg(test)]
mod tests;
