use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::{AgentId, TokenId};

use crate::{Authenticated, Rejection};

/// How many sessions a token and an agent id have, and may have. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seats {
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    by_token: HashMap<TokenId, u32>,
    by_agent: HashMap<AgentId, u32>,
    /// Whose seat it is, of links that can be told apart.
    owners: HashMap<LinkName, u64>,
    last: u64,
}

/// What a link keeps when its process dials again: its new session takes the old one's seat, since the gateway may not
/// have noticed yet that the old one is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct LinkName {
    token: TokenId,
    agent_id: AgentId,
    instance_id: String,
    connection: u32,
}

/// The place of one session, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    name: LinkName,
    number: u64,
}

/// How many sessions there may be at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeatLimits {
    pub(crate) per_token: u32,
    pub(crate) per_agent: u32,
}

impl Seats {
    /// Gives a seat to who has proved who it is.
    pub(crate) fn take(&self, who: &Authenticated, limits: SeatLimits) -> Result<Seat, Rejection> {
        let name = LinkName {
            token: who.token.clone(),
            agent_id: who.agent_id.clone(),
            instance_id: who.request.instance_id.clone(),
            connection: who.request.connection,
        };
        let mut taken = self.taken();
        let heir = name.has_owner() && taken.owners.contains_key(&name);
        if !heir {
            if count(&taken.by_agent, &name.agent_id) >= limits.per_agent {
                return Err(Rejection::Sessions("the agent id"));
            }
            if count(&taken.by_token, &name.token) >= limits.per_token {
                return Err(Rejection::Sessions("the token"));
            }
            *taken.by_token.entry(name.token.clone()).or_default() += 1;
            *taken.by_agent.entry(name.agent_id.clone()).or_default() += 1;
        }
        taken.last += 1;
        let number = taken.last;
        if name.has_owner() {
            taken.owners.insert(name.clone(), number);
        }
        Ok(Seat { seats: self.clone(), name, number })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LinkName {
    /// Whether the agent says which process it is.
    fn has_owner(&self) -> bool {
        !self.instance_id.is_empty()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if self.name.has_owner() {
            if taken.owners.get(&self.name) != Some(&self.number) {
                return; // an heir has it
            }
            taken.owners.remove(&self.name);
        }
        release(&mut taken.by_token, &self.name.token);
        release(&mut taken.by_agent, &self.name.agent_id);
    }
}

fn count<K: Eq + Hash>(counts: &HashMap<K, u32>, key: &K) -> u32 {
    counts.get(key).copied().unwrap_or(0)
}

fn release<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::{ConnectRequest, Secret};

    use super::*;

    const LIMITS: SeatLimits = SeatLimits { per_token: 3, per_agent: 2 };

    fn who(token: &str, agent: &str, instance: &str, connection: u32) -> Authenticated {
        Authenticated {
            agent_id: AgentId::parse(agent).unwrap(),
            token: TokenId::parse(token).unwrap(),
            secret: Secret::from_bytes([0; 32]),
            request: ConnectRequest { instance_id: instance.into(), connection, ..ConnectRequest::default() },
            max_sessions: None,
            max_concurrent: None,
        }
    }

    #[test]
    fn tokens_and_agent_ids_have_so_many_seats() {
        let seats = Seats::default();
        let take = |token, agent, instance| seats.take(&who(token, agent, instance, 0), LIMITS);
        let first = take("itk_a", "one", "").unwrap();
        let _second = take("itk_b", "one", "").unwrap();
        assert_eq!(take("itk_a", "one", "x").unwrap_err(), Rejection::Sessions("the agent id"));
        let _others = [take("itk_a", "two", "").unwrap(), take("itk_a", "two", "x").unwrap()];
        assert_eq!(take("itk_a", "three", "x").unwrap_err(), Rejection::Sessions("the token"));
        drop(first);
        take("itk_a", "three", "x").unwrap();
    }

    #[test]
    fn a_link_that_is_dialled_again_takes_its_old_seat() {
        let seats = Seats::default();
        let take = |connection| seats.take(&who("itk_a", "one", "x", connection), LIMITS);
        let old = take(0).unwrap();
        let other = take(1).unwrap();
        let heir = take(0).unwrap();
        drop(old);
        assert!(take(2).is_err(), "the old one's seat is the heir's");
        drop(heir);
        let last = take(2).unwrap();
        drop((other, last));
        let taken = seats.taken();
        assert!(taken.by_token.is_empty() && taken.by_agent.is_empty() && taken.owners.is_empty());
    }
}
