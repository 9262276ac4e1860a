use std::{collections::HashMap, fmt, str::FromStr};

use proto::{AgentId, InvalidAgentId, Secret, TokenId};

/// Which agent ids a token may claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentIdPattern {
    /// Any id, written `*`.
    Any,
    /// This id.
    Exactly(AgentId),
}

impl AgentIdPattern {
    fn matches(&self, agent_id: &AgentId) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(allowed) => allowed == agent_id,
        }
    }
}

impl FromStr for AgentIdPattern {
    type Err = InvalidAgentId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" { Ok(Self::Any) } else { AgentId::parse(text).map(Self::Exactly) }
    }
}

impl fmt::Display for AgentIdPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exactly(agent_id) => agent_id.fmt(f),
        }
    }
}

/// What one token stands for.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The key its holder signs with.
    pub secret: Secret,
    /// The ids its holder may claim.
    pub agent_ids: Vec<AgentIdPattern>,
}

/// Every token that is valid now.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    grants: HashMap<TokenId, Grant>,
}

impl Credentials {
    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.grants.len()
    }

    /// Whether nobody can authenticate.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty()
    }

    /// What `token` stands for.
    pub fn grant(&self, token: &str) -> Option<&Grant> {
        // A text that is no token id cannot be one of ours.
        self.grants.get(&TokenId::parse(token).ok()?)
    }

    /// Whether `token` exists and may claim `agent_id`.
    pub fn allows(&self, token: &TokenId, agent_id: &AgentId) -> bool {
        self.grants.get(token).is_some_and(|grant| grant.may_claim(agent_id))
    }

    /// Whether some token names `agent_id`, so that it is known even while no agent is connected.
    pub fn knows(&self, agent_id: &AgentId) -> bool {
        let named =
            |pattern: &AgentIdPattern| matches!(pattern, AgentIdPattern::Exactly(id) if id == agent_id);
        self.grants.values().any(|grant| grant.agent_ids.iter().any(named))
    }

    /// Whether `other` holds the same key for `token`.
    pub fn same_secret(&self, other: &Self, token: &TokenId) -> bool {
        match (self.grants.get(token), other.grants.get(token)) {
            (Some(one), Some(two)) => one.secret.same_as(&two.secret),
            _ => false,
        }
    }
}

impl Grant {
    pub(crate) fn may_claim(&self, agent_id: &AgentId) -> bool {
        self.agent_ids.iter().any(|pattern| pattern.matches(agent_id))
    }
}

impl FromIterator<(TokenId, Grant)> for Credentials {
    fn from_iter<I: IntoIterator<Item = (TokenId, Grant)>>(grants: I) -> Self {
        Self { grants: grants.into_iter().collect() }
    }
}
