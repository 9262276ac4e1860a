use std::{fmt, str::FromStr, sync::Arc};

/// The name under which an agent is reachable: one lower-case DNS label (RFC 1035, section 2.3.1, digits allowed first).
///
/// Only [`AgentId::parse`] makes one, so a value of this type is safe in a log field, a metric label and a URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(Arc<str>);

/// Why a text is not an agent id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAgentId {
    /// The text is empty.
    #[error("an agent id must not be empty")]
    Empty,
    /// The text is longer than a DNS label can be.
    #[error("an agent id has at most 63 characters")]
    TooLong,
    /// The text holds a character outside `a-z`, `0-9` and `-`, or begins or ends with `-`.
    #[error("an agent id is made of a-z, 0-9 and inner hyphens only")]
    Character,
    /// The label belongs to the operator.
    #[error("this agent id is reserved")]
    Reserved,
}

/// Labels that an operator needs for itself on the same domain.
const RESERVED: [&str; 4] = ["www", "admin", "api", "gateway"];

impl AgentId {
    /// Longest agent id in bytes (RFC 1035, section 2.3.4).
    pub const MAX_LEN: usize = 63;

    /// Parses `text` as an agent id; upper case is refused, not folded.
    ///
    /// # Errors
    /// [`InvalidAgentId`] says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, InvalidAgentId> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err(InvalidAgentId::Empty);
        }
        if bytes.len() > Self::MAX_LEN {
            return Err(InvalidAgentId::TooLong);
        }
        let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
        if !bytes.iter().all(allowed) || bytes.first() == Some(&b'-') || bytes.last() == Some(&b'-') {
            return Err(InvalidAgentId::Character);
        }
        if RESERVED.contains(&text) {
            return Err(InvalidAgentId::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = InvalidAgentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for AgentId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_accepted() {
        for text in ["a", "9", "myapp", "my-app", "xn--bcher-kva", "a--b", &"x".repeat(63)] {
            assert_eq!(AgentId::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_rule() {
        use InvalidAgentId::*;
        let long = "x".repeat(64);
        for (text, why) in [
            ("", Empty),
            (long.as_str(), TooLong),
            ("MyApp", Character),
            ("-a", Character),
            ("a-", Character),
            ("a.b", Character),
            ("a_b", Character),
            ("a/b", Character),
            ("a\nb", Character),
            ("a\0", Character),
            ("bücher", Character),
            ("\u{212a}elvin", Character),
            ("www", Reserved),
        ] {
            assert_eq!(AgentId::parse(text), Err(why), "{text:?}");
        }
    }
}
