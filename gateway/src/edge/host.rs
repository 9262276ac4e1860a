use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
};

use proto::AgentId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest host name in characters (RFC 1035, section 2.3.4).
pub const MAX_HOST: usize = 253;
/// Longest DNS label in characters.
const MAX_LABEL: usize = 63;

/// Whether a text is a host name in lower case: labels as RFC 1123, section 2.1, has them, and underscores, which exist in
/// private networks.
pub fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_HOST && text.split('.').all(is_label)
}

/// A host name of an agent's own, or all names with one more label in front of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// This name.
    Exactly(String),
    /// `*.` and this name. The star stands for one label, as in certificates.
    Below(String),
}

/// A text that is neither a host name nor one behind `*.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a host is written like shop.example.org or *.customer.example, without scheme and port")]
pub struct InvalidHost;

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let (name, pattern): (&str, fn(String) -> Self) = match text.strip_prefix("*.") {
            Some(name) => (name, Self::Below),
            None => (&text, Self::Exactly),
        };
        if is_host_name(name) { Ok(pattern(name.to_owned())) } else { Err(InvalidHost) }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: InvalidHost| {
            de::Error::custom(format_args!("`{}`: {error}", text.escape_debug()))
        })
    }
}

impl Serialize for HostPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The host names that agents have besides those that their ids give them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    /// In order, as agents are told.
    exactly: BTreeMap<String, AgentId>,
    below: HashMap<String, AgentId>,
}

impl Hosts {
    /// Whether no agent has any.
    pub(crate) fn is_empty(&self) -> bool {
        self.exactly.is_empty() && self.below.is_empty()
    }

    /// Gives a name to an agent. Returns the agent that has it already, if there is one.
    pub(crate) fn add(&mut self, pattern: HostPattern, agent_id: AgentId) -> Option<AgentId> {
        match pattern {
            HostPattern::Exactly(name) => self.exactly.insert(name, agent_id),
            HostPattern::Below(name) => self.below.insert(name, agent_id),
        }
    }

    /// The agent that has exactly this name, which is in lower case.
    pub(crate) fn exactly(&self, host: &str) -> Option<&AgentId> {
        self.exactly.get(host)
    }

    /// The agent that has all names with one label more than another, of which this one is. It is in lower case.
    pub(crate) fn below(&self, host: &str) -> Option<&AgentId> {
        let (_label, name) = host.split_once('.').filter(|_| !self.below.is_empty())?;
        self.below.get(name)
    }

    /// All names, and those that others are below.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.exactly.keys().chain(self.below.keys()).map(String::as_str)
    }

    /// The names that an agent has as a whole.
    pub(crate) fn of<'a>(&'a self, agent_id: &'a AgentId) -> impl Iterator<Item = &'a str> {
        self.exactly.iter().filter(move |(_, owner)| *owner == agent_id).map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_shown() {
        for (text, shown) in [
            ("shop.example.org", "shop.example.org"),
            ("Shop.Example.ORG.", "shop.example.org"),
            ("*.Customer.example", "*.customer.example"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.*.example",
            "a*.example",
            "a.*.example",
            "http://a.example",
            "a.example:80",
            "a..b",
            "[::1]",
            "b\u{fc}cher.example",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(InvalidHost), "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let id = AgentId::parse("myapp").unwrap();
        let mut hosts = Hosts::default();
        assert_eq!(hosts.add("*.customer.example".parse().unwrap(), id.clone()), None);
        assert_eq!(hosts.add("*.customer.example".parse().unwrap(), id.clone()), Some(id.clone()));
        assert_eq!(hosts.below("a.customer.example"), Some(&id));
        for host in ["customer.example", "a.b.customer.example", "acustomer.example", "example"] {
            assert_eq!(hosts.below(host), None, "{host}");
        }
        assert_eq!(hosts.exactly("a.customer.example"), None);
    }
}
