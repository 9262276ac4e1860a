//! Names and passwords (RFC 7617).
//!
//! Invariant: nothing here shows a password, a hash or an `authorization` field.

use std::{fmt, str::FromStr, sync::OnceLock};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::Mac as _;
use proto::Fields;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::password::{InvalidPasswordHash, PasswordHash, tag};

/// Who may ask: a name and a hashed password, `alice:$pbkdf2-sha256$...`.
#[derive(Clone, Debug)]
pub struct User {
    name: String,
    password: PasswordHash,
}

/// A text that is not a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUser {
    /// There is no colon, or no name before it, or a control character in it.
    #[error("a user is written NAME:HASH; `gateway-tunnel password NAME` makes both")]
    Name,
    /// What follows the colon is no hash.
    #[error(transparent)]
    Password(#[from] InvalidPasswordHash),
}

impl FromStr for User {
    type Err = InvalidUser;

    fn from_str(text: &str) -> Result<Self, InvalidUser> {
        let (name, password) = text.split_once(':').ok_or(InvalidUser::Name)?;
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(InvalidUser::Name);
        }
        Ok(Self { name: name.to_owned(), password: password.parse()? })
    }
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: InvalidUser| match text.split_once(':') {
            Some((name, _)) => de::Error::custom(format_args!("user `{}`: {error}", name.escape_debug())),
            None => de::Error::custom(error),
        })
    }
}

/// The name only.
impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}:<hidden>", self.name))
    }
}

/// The users of an agent.
pub(super) struct Users {
    users: Vec<Known>,
    /// Of this process only.
    key: [u8; 32],
}

struct Known {
    user: User,
    /// The tag of the right password once it was given: hashing it again for every request would cost too much.
    remembered: OnceLock<[u8; 32]>,
}

/// What somebody says who they are.
pub(super) struct Claim {
    name: Zeroizing<Vec<u8>>,
    password: Zeroizing<Vec<u8>>,
}

impl Claim {
    /// Reads the field. Two of them are none.
    pub(super) fn of(fields: &Fields) -> Option<Self> {
        let mut values = fields.all("authorization");
        let (value, None) = (values.next()?, values.next()) else { return None };
        let (scheme, encoded) = value.split_at_checked(6)?;
        let encoded = encoded.trim_ascii();
        let decoded = scheme.eq_ignore_ascii_case(b"basic ").then(|| BASE64_STANDARD.decode(encoded).ok())?;
        let decoded = Zeroizing::new(decoded?);
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (name, password) = (decoded[..colon].to_vec(), decoded[colon + 1..].to_vec());
        Some(Self { name: Zeroizing::new(name), password: Zeroizing::new(password) })
    }
}

impl Users {
    pub(super) fn new(users: Vec<User>) -> Self {
        let mut key = [0; 32];
        key[..16].copy_from_slice(Uuid::new_v4().as_bytes());
        key[16..].copy_from_slice(Uuid::new_v4().as_bytes());
        let users = users.into_iter().map(|user| Known { user, remembered: OnceLock::new() });
        Self { users: users.collect(), key }
    }

    /// Whether the claim was found to be true before. Costs one short hash.
    pub(super) fn remember(&self, claim: &Claim) -> bool {
        let tag = tag(&self.key, &claim.password);
        let remembered = self.find(claim).and_then(|known| known.remembered.get());
        remembered.is_some_and(|remembered| tag.verify_slice(remembered).is_ok())
    }

    /// Whether the claim is true. Costs the same for names that nobody has.
    pub(super) fn verify(&self, claim: &Claim) -> bool {
        let found = self.find(claim);
        let Some(known) = found.or(self.users.first()) else { return false };
        let right = known.user.password.matches(&claim.password) && found.is_some();
        if right {
            let _ = known.remembered.set(tag(&self.key, &claim.password).finalize().into_bytes().into());
        }
        right
    }

    fn find(&self, claim: &Claim) -> Option<&Known> {
        self.users.iter().find(|known| known.user.name.as_bytes() == &claim.name[..])
    }
}

/// Names only.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.users.iter().map(|known| &known.user.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password is `open sesame`.
    const ALI: &str =
        "ali:$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$Mqp8wAsrOsjVEIymTD0kATxTpTf4f+0ZMgQPDlukk/w";

    fn claim(value: &str) -> Option<Claim> {
        let mut fields = Fields::new();
        fields.push("authorization", value.to_owned());
        Claim::of(&fields)
    }

    fn basic(credentials: &str) -> Claim {
        claim(&format!("Basic {}", BASE64_STANDARD.encode(credentials))).unwrap()
    }

    #[test]
    fn the_field_is_read() {
        let ali = claim("bAsIc  YWxpOm9wZW46c2VzYW1l").unwrap();
        assert_eq!((&ali.name[..], &ali.password[..]), (&b"ali"[..], &b"open:sesame"[..]));
        for value in ["", "Basic", "Basic ", "Basic YWxp", "Bearer YWxpOnM=", "Basic YWxpOnM", "Basic %%%"] {
            assert!(claim(value).is_none(), "{value}");
        }
    }

    #[test]
    fn two_fields_are_none() {
        let mut fields = Fields::new();
        fields.push("authorization", "Basic YWxpOnM=");
        fields.push("authorization", "Basic YWxpOnM=");
        assert!(Claim::of(&fields).is_none());
    }

    #[test]
    fn only_the_right_password_of_a_known_user_is_good() {
        let users = Users::new(vec![ALI.parse().unwrap()]);
        for wrong in ["ali:open sesam", "ali:", ":open sesame", "Ali:open sesame", "bob:open sesame"] {
            assert!(!users.verify(&basic(wrong)), "{wrong}");
            assert!(!users.remember(&basic(wrong)), "{wrong}");
        }
        assert!(!users.remember(&basic("ali:open sesame")), "nobody has given it yet");
        assert!(users.verify(&basic("ali:open sesame")));
        assert!(users.remember(&basic("ali:open sesame")));
        assert!(!users.remember(&basic("ali:open sesam")));
        assert!(!users.remember(&basic("bob:open sesame")));
    }

    #[test]
    fn nobody_comes_in_where_nobody_is_known() {
        assert!(!Users::new(Vec::new()).verify(&basic("ali:open sesame")));
    }

    #[test]
    fn users_are_read_and_their_passwords_not_shown() {
        let ali: User = ALI.parse().unwrap();
        for shown in
            [format!("{ali:?}"), serde_json::to_string(&ali).unwrap(), format!("{:?}", Users::new(vec![ali]))]
        {
            assert!(shown.contains("ali") && !shown.contains("MDEyMzQ1"), "{shown}");
        }
        for text in ["ali", ":x", "ali:secret", "a\nli:x"] {
            let error = text.parse::<User>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
