use std::{fmt, fs, path::Path};

use proto::{Secret, TokenId, auth};
use zeroize::Zeroizing;

use super::{RandomnessError, TokenFileError, exposure};

const DOMAIN: &[u8] = b"indranet/v1/token\0";
const FINGERPRINT_DOMAIN: &[u8] = b"indranet/v1/master-key\0";
/// Enough to notice a mistake, which is all that it is for.
const FINGERPRINT_LEN: usize = 8;

/// The one key that the secrets of derived tokens come from, so that a token file holds no secret. Wiped from memory on
/// drop, redacted in `Debug`.
#[derive(Clone)]
pub struct MasterKey(Secret);

impl MasterKey {
    /// Makes a new key from the system's random source.
    ///
    /// # Errors
    /// [`RandomnessError`] if that source is out of order.
    pub fn generate() -> Result<Self, RandomnessError> {
        let mut key = Zeroizing::new([0; Secret::LEN]);
        getrandom::fill(&mut *key)?;
        Ok(Self(Secret::from_bytes(*key)))
    }

    /// Reads a key from a file: 32 bytes in base64url, or in hexadecimal. Warns in the log if others than its owner can
    /// read it.
    ///
    /// # Errors
    /// [`TokenFileError`] names the file and shows nothing of it.
    pub fn load(path: &Path) -> Result<Self, TokenFileError> {
        let text = fs::read(path).map(Zeroizing::new);
        let text = text.map_err(|source| TokenFileError::ReadMasterKey { path: path.to_owned(), source })?;
        if let Some(mode) = exposure(path) {
            tracing::warn!(path = %path.display(), mode = format_args!("{mode:o}"),
                "others than its owner can use the master key; run chmod 600 on it");
        }
        Self::parse(text.trim_ascii()).ok_or_else(|| TokenFileError::MasterKey { path: path.to_owned() })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        if text.len() == 2 * Secret::LEN {
            let mut key = Zeroizing::new([0; Secret::LEN]);
            for (byte, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
                *byte = digit(digits[0])? << 4 | digit(digits[1])?;
            }
            return Some(Self(Secret::from_bytes(*key)));
        }
        Secret::parse(std::str::from_utf8(text).ok()?).ok().map(Self)
    }

    /// The base64url form. Named so that each place that shows a secret can be found.
    pub fn reveal(&self) -> Zeroizing<String> {
        self.0.reveal()
    }

    /// What a token file calls the key by, so that another one is noticed: the first bytes of an HMAC-SHA256, in hexadecimal.
    /// It says nothing of the key.
    pub fn fingerprint(&self) -> String {
        let signature = auth::sign(&self.0, FINGERPRINT_DOMAIN);
        signature.iter().take(FINGERPRINT_LEN).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The secret of a token: HMAC-SHA256 over a domain, the id behind its length, and the generation. Whoever knows one
    /// secret learns nothing of the others, of the next generation, or of the master key.
    pub fn secret(&self, token: &TokenId, generation: u32) -> Secret {
        let id = token.as_str().as_bytes();
        let length = u32::try_from(id.len()).expect("a token id is short");
        let transcript = [DOMAIN, &length.to_be_bytes(), id, &generation.to_be_bytes()].concat();
        Secret::from_bytes(auth::sign(&self.0, &transcript))
    }
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey(Secret::from_bytes(std::array::from_fn(|index| index as u8)))
    }

    fn token(id: &str) -> TokenId {
        TokenId::parse(id).unwrap()
    }

    fn hex(secret: &Secret) -> String {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let bytes = URL_SAFE_NO_PAD.decode(&*secret.reveal()).unwrap();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Computed by another implementation; see `docs/security.md`.
    #[test]
    fn secrets_are_what_others_derive() {
        assert_eq!(
            hex(&key().secret(&token("itk_k3v9"), 1)),
            "55df4bf2d76e2125a7fa4b1abf1738345c0f705ae2a6c84d6821393ca89bfcf8"
        );
        assert_eq!(
            hex(&key().secret(&token("itk_k3v9"), 2)),
            "b3c203e37235966cf4a936b934bd7004261085d84f52b69f86836178695fc4ca"
        );
    }

    #[test]
    fn a_fingerprint_tells_keys_apart() {
        let (one, other) = (key().fingerprint(), MasterKey::generate().unwrap().fingerprint());
        assert_eq!((one.len(), &one), (2 * FINGERPRINT_LEN, &key().fingerprint()));
        assert_ne!(one, other);
        assert_ne!(one, hex(&key().0)[..2 * FINGERPRINT_LEN]);
    }

    #[test]
    fn a_key_is_read_in_either_form_and_never_shown() {
        let digits: String = (0..32).map(|byte| format!("{byte:02x}")).collect();
        for text in [key().reveal().to_string(), digits.clone(), digits.to_uppercase()] {
            let read = MasterKey::parse(text.as_bytes()).unwrap();
            assert_eq!(*read.reveal(), *key().reveal());
        }
        for text in ["", &digits[1..], &digits.replace('0', "g"), &key().reveal()[1..]] {
            assert!(MasterKey::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(format!("{:?}", key()), "MasterKey(redacted)");
    }
}
