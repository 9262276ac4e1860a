use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The key that an agent signs with: 32 bytes that never travel. Wiped from memory on drop, redacted in `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; Secret::LEN]);

impl Secret {
    /// Length in bytes, that of an HMAC-SHA256 output (RFC 2104, section 3).
    pub const LEN: usize = 32;

    /// Wraps key bytes that the caller drew from a cryptographic random source.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Reads the base64url form, without padding, as it stands in a credential or a token file.
    ///
    /// # Errors
    /// [`InvalidCredential::Secret`] if the text is not exactly 32 bytes in that form.
    pub fn parse(text: &str) -> Result<Self, InvalidCredential> {
        let decoded = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCredential::Secret)?);
        let bytes = decoded.as_slice().try_into().map_err(|_| InvalidCredential::Secret)?;
        Ok(Self(bytes))
    }

    /// The base64url form. Named so that each place that shows a secret can be found.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0))
    }

    /// Whether both are the same key. Not constant-time: for two secrets of one's own only.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// The public name of a credential, `itk_` and 1 to 32 of `a-z0-9`. It travels in `ConnectRequest.token`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(String);

impl TokenId {
    /// What every token id and every credential begins with, so that secret scanners can find them.
    pub const PREFIX: &'static str = "itk_";

    /// Parses the public half of a credential.
    ///
    /// # Errors
    /// [`InvalidCredential::TokenId`] if the text is anything but `itk_` and 1 to 32 of `a-z0-9`.
    pub fn parse(text: &str) -> Result<Self, InvalidCredential> {
        let name = text.strip_prefix(Self::PREFIX).ok_or(InvalidCredential::TokenId)?;
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !plain || !(1..=32).contains(&name.len()) {
            return Err(InvalidCredential::TokenId);
        }
        Ok(Self(text.to_owned()))
    }

    /// The id as text, prefix included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a user is given: `itk_<id>_<secret>`.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The half that travels.
    pub token: TokenId,
    /// The half that never does.
    pub secret: Secret,
}

/// Why a text is not a credential. The text itself is never repeated: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredential {
    /// The text is not `itk_<id>_<secret>`.
    #[error("a token looks like itk_<id>_<secret>, as `gateway-tunnel token new` prints it")]
    Shape,
    /// The public half is malformed.
    #[error("the token id must be itk_ followed by 1 to 32 of a-z and 0-9")]
    TokenId,
    /// The secret half is malformed.
    #[error("the token's secret must be 32 bytes in base64url; was it cut off when it was copied?")]
    Secret,
}

impl Credential {
    /// The one string that a user keeps. Named so that each place that shows a secret can be found.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}_{}", self.token, *self.secret.reveal()))
    }
}

impl FromStr for Credential {
    type Err = InvalidCredential;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name_and_secret = text.strip_prefix(TokenId::PREFIX).ok_or(InvalidCredential::Shape)?;
        // The id holds no underscore, the secret may.
        let (name, secret) = name_and_secret.split_once('_').ok_or(InvalidCredential::Shape)?;
        let token = TokenId::parse(&text[..TokenId::PREFIX.len() + name.len()])?;
        Ok(Self { token, secret: Secret::parse(secret)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_survives_its_text_form() {
        let secret = Secret::from_bytes([0xff; 32]); // base64url of 0xff is full of underscores
        let text = format!("itk_k3v9_{}", *secret.reveal());
        let credential: Credential = text.parse().unwrap();
        assert_eq!(credential.token.as_str(), "itk_k3v9");
        assert_eq!(*credential.reveal(), text);
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!("itk_k3v9_{}", *Secret::from_bytes([0xab; 32]).reveal());
        let credential: Credential = text.parse().unwrap();
        assert_eq!(format!("{credential:?}"), "Credential { token: itk_k3v9, secret: Secret(redacted) }");
    }

    #[test]
    fn malformed_credentials_name_the_bad_half() {
        let good = Secret::from_bytes([1; 32]).reveal();
        for (text, why) in [
            (String::new(), InvalidCredential::Shape),
            ("itk_".into(), InvalidCredential::Shape),
            ("itk_k3v9".into(), InvalidCredential::Shape),
            (format!("xyz_k3v9_{}", *good), InvalidCredential::Shape),
            (format!("itk_K3V9_{}", *good), InvalidCredential::TokenId),
            (format!("itk__{}", *good), InvalidCredential::TokenId),
            ("itk_k3v9_".into(), InvalidCredential::Secret),
            (format!("itk_k3v9_{}", &good[1..]), InvalidCredential::Secret),
            (format!("itk_k3v9_{}=", *good), InvalidCredential::Secret),
        ] {
            assert_eq!(text.parse::<Credential>().unwrap_err(), why, "{text}");
        }
    }
}
