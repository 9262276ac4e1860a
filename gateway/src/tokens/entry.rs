//! One token as it stands in the file.

use std::{path::Path, time::SystemTime};

use proto::{InvalidAgentId, Secret, TokenId};
use serde::Deserialize;
use session::{AgentIdPattern, Grant, Previous};
use zeroize::Zeroizing;

use super::{MasterKey, TokenFileError, time};

/// Longest name of a token.
const MAX_NAME: usize = 64;

/// One token of a token file.
#[derive(Clone, Debug)]
pub struct TokenEntry {
    /// The public half of the credential.
    pub id: TokenId,
    /// What people call it.
    pub name: Option<String>,
    /// The key that its holder signs with.
    pub key: TokenKey,
    /// The key that was replaced, and until when it is good.
    pub previous: Option<(TokenKey, SystemTime)>,
    /// The agent ids that its holder may claim; never empty.
    pub agent_ids: Vec<AgentIdPattern>,
    /// When it was made, for people.
    pub created: Option<String>,
    /// When it ends.
    pub expires: Option<SystemTime>,
    /// When its key was replaced last.
    pub rotated: Option<SystemTime>,
    /// When it was withdrawn.
    pub revoked: Option<SystemTime>,
    /// Sessions that live on it at a time.
    pub max_sessions: Option<u32>,
    /// Requests in progress at a time on each of them.
    pub max_concurrent: Option<u32>,
}

/// Where the key of a token comes from.
#[derive(Clone, Debug)]
pub enum TokenKey {
    /// The file holds it.
    Stored(Secret),
    /// It is derived from the master key. The number tells the keys of a token apart.
    Derived(u32),
}

/// Whether an agent can use a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It can.
    Active,
    /// It can, with either of two keys.
    Rotating,
    /// Its time is over.
    Expired,
    /// It was withdrawn.
    Revoked,
}

impl TokenState {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Rotating => "rotating",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

impl TokenEntry {
    /// A token without name, end or limits of its own.
    pub fn new(id: TokenId, key: TokenKey, agent_ids: Vec<AgentIdPattern>) -> Self {
        Self {
            id,
            name: None,
            key,
            previous: None,
            agent_ids,
            created: None,
            expires: None,
            rotated: None,
            revoked: None,
            max_sessions: None,
            max_concurrent: None,
        }
    }

    /// Whether it takes a master key to know one of its keys.
    pub(super) fn is_derived(&self) -> bool {
        let previous = self.previous.as_ref().map(|(key, _)| key);
        [Some(&self.key), previous].into_iter().flatten().any(|key| matches!(key, TokenKey::Derived(_)))
    }

    /// Whether an agent can use it at `now`.
    pub fn state(&self, now: SystemTime) -> TokenState {
        if self.revoked.is_some() {
            TokenState::Revoked
        } else if self.expires.is_some_and(|end| end <= now) {
            TokenState::Expired
        } else if self.previous.as_ref().is_some_and(|(_, until)| *until > now) {
            TokenState::Rotating
        } else {
            TokenState::Active
        }
    }

    /// What the token stands for; `None` if it takes a master key to know.
    pub(super) fn grant(&self, master: Option<&MasterKey>) -> Option<Grant> {
        let secret = |key: &TokenKey| match key {
            TokenKey::Stored(secret) => Some(secret.clone()),
            TokenKey::Derived(generation) => Some(master?.secret(&self.id, *generation)),
        };
        let previous = match &self.previous {
            Some((key, until)) => Some(Previous { secret: secret(key)?, until: time::millis(*until) }),
            None => None,
        };
        Some(Grant {
            secret: secret(&self.key)?,
            previous,
            agent_ids: self.agent_ids.clone(),
            expires: self.expires.map(time::millis),
            revoked: self.revoked.is_some(),
            max_sessions: self.max_sessions,
            max_concurrent: self.max_concurrent,
        })
    }
}

/// Whether people can call a token this: it must fit into one line of a table.
pub fn is_token_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// A token as TOML has it, before anything in it is believed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEntry {
    id: String,
    name: Option<String>,
    secret: Option<Zeroizing<String>>,
    generation: Option<u32>,
    previous_secret: Option<Zeroizing<String>>,
    previous_generation: Option<u32>,
    previous_until: Option<String>,
    agent_ids: Vec<String>,
    created: Option<String>,
    expires: Option<String>,
    rotated: Option<String>,
    revoked: Option<String>,
    max_sessions: Option<u32>,
    max_concurrent: Option<u32>,
}

impl RawEntry {
    pub(super) fn check(self, number: usize, path: &Path) -> Result<TokenEntry, TokenFileError> {
        let path = || path.to_owned();
        let id =
            TokenId::parse(&self.id).map_err(|source| TokenFileError::Id { path: path(), number, source })?;
        let malformed = |what| TokenFileError::Entry { path: path(), id: id.clone(), what };
        let key = |secret: Option<Zeroizing<String>>, generation| match (secret, generation) {
            (Some(text), None) => match Secret::parse(&text) {
                Ok(secret) => Ok(Some(TokenKey::Stored(secret))),
                Err(source) => Err(TokenFileError::Secret { path: path(), id: id.clone(), source }),
            },
            (None, Some(generation)) => Ok(Some(TokenKey::Derived(generation))),
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(malformed("a secret beside a generation")),
        };
        let moment = |text: Option<String>, what| match text {
            Some(text) => time::parse(&text).map(Some).ok_or_else(|| malformed(what)),
            None => Ok(None),
        };
        let until = moment(self.previous_until, "a malformed time in previous_until")?;
        let previous = match (key(self.previous_secret, self.previous_generation)?, until) {
            (Some(key), Some(until)) => Some((key, until)),
            (None, None) => None,
            _ => return Err(malformed("a previous key without previous_until, or the other way round")),
        };
        let agent_ids = self.agent_ids.iter().map(|text| text.parse());
        let agent_ids = agent_ids
            .collect::<Result<Vec<AgentIdPattern>, InvalidAgentId>>()
            .map_err(|source| TokenFileError::AgentId { path: path(), id: id.clone(), source })?;
        if agent_ids.is_empty() {
            return Err(TokenFileError::NoAgentIds { path: path(), id });
        }
        if self.name.as_deref().is_some_and(|name| !is_token_name(name)) {
            return Err(malformed("a name that is empty, too long or more than one line"));
        }
        if [self.max_sessions, self.max_concurrent].contains(&Some(0)) {
            return Err(malformed("a limit of zero"));
        }
        Ok(TokenEntry {
            name: self.name,
            key: key(self.secret, self.generation)?
                .ok_or_else(|| malformed("neither secret nor generation"))?,
            previous,
            agent_ids,
            created: self.created,
            expires: moment(self.expires, "a malformed time in expires")?,
            rotated: moment(self.rotated, "a malformed time in rotated")?,
            revoked: moment(self.revoked, "a malformed time in revoked")?,
            max_sessions: self.max_sessions,
            max_concurrent: self.max_concurrent,
            id,
        })
    }
}
