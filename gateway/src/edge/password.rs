use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How often a password is hashed unless told otherwise: some milliseconds of a core. Right passwords are remembered, so
/// each costs this once; wrong ones are counted, see [`super::basic_auth`].
const ROUNDS: u32 = 20_000;
/// Fewer would make a stolen file too easy to turn, more would keep a thread from its other connections for too long.
const POSSIBLE_ROUNDS: std::ops::RangeInclusive<u32> = 1_000..=1_000_000;
const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;

/// A password as PBKDF2 with HMAC-SHA-256 keeps it (RFC 8018), written `$pbkdf2-sha256$i=ROUNDS$SALT$HASH`.
#[derive(Clone)]
pub struct PasswordHash {
    rounds: u32,
    salt: Vec<u8>,
    hash: [u8; HASH_LEN],
}

/// A text that is not a hashed password. What it is instead is not repeated: it may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a hashed password such as $pbkdf2-sha256$i=20000$SALT$HASH; `gateway-tunnel password NAME` makes one"
)]
pub struct InvalidPasswordHash;

impl PasswordHash {
    /// Hashes a password with a salt of its own.
    ///
    /// # Errors
    /// Those of the system's random source.
    pub fn new(password: &[u8]) -> Result<Self, getrandom::Error> {
        let mut salt = vec![0; SALT_LEN];
        getrandom::fill(&mut salt)?;
        Ok(Self { hash: derived(password, &salt, ROUNDS), rounds: ROUNDS, salt })
    }

    /// The text for a configuration file.
    pub fn to_text(&self) -> String {
        let encode = |bytes: &[u8]| BASE64_STANDARD_NO_PAD.encode(bytes);
        format!("$pbkdf2-sha256$i={}${}${}", self.rounds, encode(&self.salt), encode(&self.hash))
    }

    /// Whether `password` is the one. Takes as long for a wrong one.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        let derived = derived(password, &self.salt, self.rounds);
        let expected = tag(&self.salt, &self.hash).finalize().into_bytes();
        tag(&self.salt, &derived).verify_slice(&expected).is_ok()
    }
}

/// A keyed tag, which can be compared in constant time.
pub(super) fn tag(key: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(bytes);
    mac
}

fn derived(password: &[u8], salt: &[u8], rounds: u32) -> [u8; HASH_LEN] {
    let mut hash = [0; HASH_LEN];
    pbkdf2::pbkdf2::<Hmac<Sha256>>(password, salt, rounds, &mut hash)
        .expect("HMAC takes a key of any length");
    hash
}

impl FromStr for PasswordHash {
    type Err = InvalidPasswordHash;

    fn from_str(text: &str) -> Result<Self, InvalidPasswordHash> {
        parse(text).ok_or(InvalidPasswordHash)
    }
}

fn parse(text: &str) -> Option<PasswordHash> {
    let mut parts = text.strip_prefix("$pbkdf2-sha256$i=")?.split('$');
    let (rounds, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let rounds = rounds.strip_suffix(",l=32").unwrap_or(rounds).parse().ok()?;
    let salt = BASE64_STANDARD_NO_PAD.decode(salt).ok()?;
    let hash = BASE64_STANDARD_NO_PAD.decode(hash).ok()?.try_into().ok()?;
    let good = parts.next().is_none() && POSSIBLE_ROUNDS.contains(&rounds) && salt.len() >= 8;
    good.then_some(PasswordHash { rounds, salt, hash })
}

/// Nothing: a hash can be attacked at home.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's `hashlib.pbkdf2_hmac("sha256", b"open sesame", b"0123456789abcdef", 1000)`.
    const SESAME: &str =
        "$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$Mqp8wAsrOsjVEIymTD0kATxTpTf4f+0ZMgQPDlukk/w";

    #[test]
    fn the_right_password_matches_and_no_other() {
        let hash: PasswordHash = SESAME.parse().unwrap();
        assert!(hash.matches(b"open sesame"));
        for wrong in [&b""[..], b"open sesam", b"open sesame ", b"Open sesame"] {
            assert!(!hash.matches(wrong));
        }
        assert_eq!(hash.to_text(), SESAME);
    }

    #[test]
    fn every_hash_has_a_salt_of_its_own() {
        let [one, two] = [(); 2].map(|()| PasswordHash::new(b"secret").unwrap());
        assert_ne!(one.to_text(), two.to_text());
        let again: PasswordHash = one.to_text().parse().unwrap();
        assert!(again.matches(b"secret") && !again.matches(b"Secret"));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_repeated() {
        let too_few = SESAME.replace("i=1000", "i=999");
        let too_many = SESAME.replace("i=1000", "i=1000001");
        for text in [
            "",
            "secret",
            "$2y$05$abc",
            "$pbkdf2-sha256$i=1000$MDEy$MDEy",
            &too_few,
            &too_many,
            &format!("{SESAME}$"),
        ] {
            let error = text.parse::<PasswordHash>().unwrap_err();
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn a_hash_is_not_shown() {
        let hash: PasswordHash = SESAME.parse().unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(hidden)");
    }
}
