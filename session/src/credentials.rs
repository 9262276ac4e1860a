use std::{collections::HashMap, fmt, str::FromStr};

use link::CloseReason;
use proto::{AgentId, Credential, InvalidAgentId, Secret, TokenId};

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

/// What one token stands for. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The key its holder signs with.
    pub secret: Secret,
    /// The key that was replaced by it, as long as that one is still good.
    pub previous: Option<Previous>,
    /// The ids its holder may claim.
    pub agent_ids: Vec<AgentIdPattern>,
    /// When it ends.
    pub expires: Option<i64>,
    /// Whether it was withdrawn.
    pub revoked: bool,
    /// Sessions that live on it at a time.
    pub max_sessions: Option<u32>,
    /// Requests in progress at a time on each of these sessions.
    pub max_concurrent: Option<u32>,
}

/// A key that was replaced.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The key.
    pub secret: Secret,
    /// When it ceases to be good.
    pub until: i64,
}

/// Why a token, or a key of it, is no longer good. Only said to who has proved to hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Withdrawn {
    /// It is not among the credentials any more.
    #[error("the token was removed")]
    Removed,
    /// It was revoked.
    #[error("the token was revoked; ask the gateway's operator for another")]
    Revoked,
    /// Its time is over.
    #[error("the token has expired; ask the gateway's operator for another")]
    Expired,
    /// Its key was replaced, and the old one's time is over.
    #[error("the token's secret was rotated and the old one is over; give the agent the new one")]
    Rotated,
    /// It may not claim the agent id any more.
    #[error("the token may no longer claim this agent id")]
    AgentId,
}

impl Withdrawn {
    /// One word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Rotated => "rotated",
            Self::AgentId => "agent_id",
        }
    }
}

impl From<Withdrawn> for CloseReason {
    fn from(why: Withdrawn) -> Self {
        Self::Withdrawn { what: why.word(), message: why.to_string() }
    }
}

/// Every token that there is.
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

    /// Whether some token names `agent_id`, so that it is known even while no agent is connected.
    pub fn knows(&self, agent_id: &AgentId) -> bool {
        let named =
            |pattern: &AgentIdPattern| matches!(pattern, AgentIdPattern::Exactly(id) if id == agent_id);
        self.grants.values().any(|grant| !grant.revoked && grant.agent_ids.iter().any(named))
    }

    /// When, after `clock`, the next token or key ends by itself.
    pub fn next_end(&self, clock: i64) -> Option<i64> {
        let ends = self.grants.values().flat_map(|grant| {
            let until = grant.previous.as_ref().map(|previous| previous.until);
            [grant.expires, until]
        });
        ends.flatten().filter(|end| *end > clock).min()
    }

    /// What is different from `before`, token by token, in a word each.
    pub fn changes_since(&self, before: &Self) -> Vec<(TokenId, &'static str)> {
        let removed = before.grants.keys().filter(|id| !self.grants.contains_key(*id));
        let removed = removed.map(|id| (id.clone(), "token_removed"));
        let others = self.grants.iter().filter_map(|(id, grant)| {
            let what = before.grants.get(id).map_or(Some("token_added"), |old| grant.change_since(old))?;
            Some((id.clone(), what))
        });
        removed.chain(others).collect()
    }

    /// Whether a session of `agent_id` that was begun with `secret` may go on at `clock`.
    ///
    /// # Errors
    /// Why it may not.
    pub fn standing(
        &self,
        token: &TokenId,
        agent_id: &AgentId,
        secret: &Secret,
        clock: i64,
    ) -> Result<(), Withdrawn> {
        let grant = self.grants.get(token).ok_or(Withdrawn::Removed)?;
        let standing = if grant.secret.same_as(secret) {
            grant.standing(Key::Current, clock)
        } else if grant.previous.as_ref().is_some_and(|previous| previous.secret.same_as(secret)) {
            grant.standing(Key::Previous, clock)
        } else {
            grant.standing(Key::Current, clock).and(Err(Withdrawn::Rotated))
        };
        standing?;
        if grant.may_claim(agent_id) { Ok(()) } else { Err(Withdrawn::AgentId) }
    }
}

/// Which of a token's two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Current,
    Previous,
}

impl Grant {
    /// A token that claims `agent_ids`, without end and without limits of its own.
    pub fn new(secret: Secret, agent_ids: Vec<AgentIdPattern>) -> Self {
        Self {
            secret,
            previous: None,
            agent_ids,
            expires: None,
            revoked: false,
            max_sessions: None,
            max_concurrent: None,
        }
    }

    pub(crate) fn may_claim(&self, agent_id: &AgentId) -> bool {
        self.agent_ids.iter().any(|pattern| pattern.matches(agent_id))
    }

    fn change_since(&self, old: &Self) -> Option<&'static str> {
        if self.revoked != old.revoked {
            return Some(if self.revoked { "token_revoked" } else { "token_restored" });
        }
        if !self.secret.same_as(&old.secret) {
            return Some("token_rotated");
        }
        let until = |grant: &Self| grant.previous.as_ref().map(|previous| previous.until);
        let same = self.agent_ids == old.agent_ids
            && (self.expires, until(self)) == (old.expires, until(old))
            && (self.max_sessions, self.max_concurrent) == (old.max_sessions, old.max_concurrent);
        (!same).then_some("token_changed")
    }

    /// Whether `key` is good at `clock`.
    pub(crate) fn standing(&self, key: Key, clock: i64) -> Result<(), Withdrawn> {
        if self.revoked {
            return Err(Withdrawn::Revoked);
        }
        if self.expires.is_some_and(|end| end <= clock) {
            return Err(Withdrawn::Expired);
        }
        match (key, &self.previous) {
            (Key::Current, _) => Ok(()),
            (Key::Previous, Some(previous)) if previous.until > clock => Ok(()),
            (Key::Previous, _) => Err(Withdrawn::Rotated),
        }
    }
}

impl Credentials {
    /// Those of a gateway with one token, which is good for every agent id.
    pub fn anyone_with(credential: &Credential) -> Self {
        let grant = Grant::new(credential.secret.clone(), vec![AgentIdPattern::Any]);
        Self::from_iter([(credential.token.clone(), grant)])
    }
}

impl FromIterator<(TokenId, Grant)> for Credentials {
    fn from_iter<I: IntoIterator<Item = (TokenId, Grant)>>(grants: I) -> Self {
        Self { grants: grants.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Secret = Secret::from_bytes([1; 32]);
    const OLD: Secret = Secret::from_bytes([2; 32]);

    fn standing(change: impl FnOnce(&mut Grant), secret: &Secret) -> Result<(), Withdrawn> {
        let [token, id] = ["itk_a", "myapp"];
        let (token, id) = (TokenId::parse(token).unwrap(), AgentId::parse(id).unwrap());
        let mut grant = Grant::new(NEW, vec![AgentIdPattern::Exactly(id.clone())]);
        change(&mut grant);
        let credentials: Credentials = [(token.clone(), grant)].into_iter().collect();
        credentials.standing(&token, &id, secret, 1000)
    }

    #[test]
    fn a_session_stands_as_long_as_the_key_it_began_with() {
        let until = |until| move |grant: &mut Grant| grant.previous = Some(Previous { secret: OLD, until });
        assert_eq!(standing(|_| {}, &NEW), Ok(()));
        assert_eq!(standing(|_| {}, &OLD), Err(Withdrawn::Rotated));
        assert_eq!(standing(until(1001), &OLD), Ok(()));
        assert_eq!(standing(until(1000), &OLD), Err(Withdrawn::Rotated));
        assert_eq!(standing(until(1000), &NEW), Ok(()));
    }

    #[test]
    fn a_session_falls_with_its_token() {
        assert_eq!(standing(|grant| grant.expires = Some(1001), &NEW), Ok(()));
        assert_eq!(standing(|grant| grant.expires = Some(1000), &NEW), Err(Withdrawn::Expired));
        assert_eq!(standing(|grant| grant.revoked = true, &NEW), Err(Withdrawn::Revoked));
        assert_eq!(standing(|grant| grant.agent_ids.clear(), &NEW), Err(Withdrawn::AgentId));
        let [token, id] = [TokenId::parse("itk_a").unwrap(), TokenId::parse("itk_b").unwrap()];
        let credentials: Credentials = [(token, Grant::new(NEW, Vec::new()))].into_iter().collect();
        let agent = AgentId::parse("myapp").unwrap();
        assert_eq!(credentials.standing(&id, &agent, &NEW, 0), Err(Withdrawn::Removed));
    }

    #[test]
    fn the_next_end_is_the_nearest_that_is_yet_to_come() {
        let grant = |expires, until| Grant {
            expires,
            previous: Some(Previous { secret: OLD, until }),
            ..Grant::new(NEW, Vec::new())
        };
        let ids = ["itk_a", "itk_b"].map(|id| TokenId::parse(id).unwrap());
        let credentials: Credentials = ids.into_iter().zip([grant(Some(30), 10), grant(None, 20)]).collect();
        assert_eq!(credentials.next_end(0), Some(10));
        assert_eq!(credentials.next_end(10), Some(20));
        assert_eq!(credentials.next_end(29), Some(30));
        assert_eq!(credentials.next_end(30), None);
    }

    #[test]
    fn changes_are_told_token_by_token() {
        let of = |grants: &[(&str, Grant)]| -> Credentials {
            grants.iter().map(|(id, grant)| (TokenId::parse(id).unwrap(), grant.clone())).collect()
        };
        let grant = Grant::new(NEW, Vec::new());
        let before = of(&["itk_a", "itk_b", "itk_c", "itk_d", "itk_e"].map(|id| (id, grant.clone())));
        let after = of(&[
            ("itk_b", Grant { revoked: true, ..grant.clone() }),
            ("itk_c", Grant { secret: OLD, ..grant.clone() }),
            ("itk_d", Grant { max_sessions: Some(1), ..grant.clone() }),
            ("itk_e", grant.clone()),
            ("itk_f", grant),
        ]);
        let mut changes = after.changes_since(&before);
        changes.sort();
        let words: Vec<_> = changes.iter().map(|(id, what)| (id.as_str(), *what)).collect();
        assert_eq!(
            words,
            [
                ("itk_a", "token_removed"),
                ("itk_b", "token_revoked"),
                ("itk_c", "token_rotated"),
                ("itk_d", "token_changed"),
                ("itk_f", "token_added"),
            ]
        );
    }

    #[test]
    fn a_revoked_token_makes_no_agent_known() {
        let id = AgentId::parse("myapp").unwrap();
        let grant = |revoked| Grant { revoked, ..Grant::new(NEW, vec![AgentIdPattern::Exactly(id.clone())]) };
        let knows = |revoked| {
            let token = TokenId::parse("itk_a").unwrap();
            [(token, grant(revoked))].into_iter().collect::<Credentials>().knows(&id)
        };
        assert!(knows(false) && !knows(true));
    }
}
