use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use proto::{AgentId, drain};
use uuid::Uuid;

use crate::session::Session;

/// Agent id to live sessions. Several agents may serve one id; the same process connecting again replaces its own older
/// session.
#[derive(Default)]
pub struct Registry {
    /// Those that take requests.
    agents: RwLock<HashMap<AgentId, Vec<Arc<Session>>>>,
    /// All, also those that only finish what they have.
    live: Mutex<HashMap<Uuid, Arc<Session>>>,
}

impl Registry {
    /// Counts `session` among the living, for as long as the presence lives.
    pub(crate) fn enter(self: &Arc<Self>, session: &Arc<Session>) -> Presence {
        self.live().insert(session.id(), Arc::clone(session));
        Presence { registry: Arc::clone(self), id: session.id() }
    }

    /// Makes `session` a choice for requests, for as long as the registration lives.
    pub fn register(self: &Arc<Self>, session: &Arc<Session>) -> Registration {
        let replaced: Vec<Arc<Session>> = {
            let mut agents = self.write();
            let sessions = agents.entry(session.agent_id().clone()).or_default();
            let replaced = sessions.extract_if(.., |older| older.is_same_link(session)).collect();
            sessions.push(Arc::clone(session));
            replaced
        };
        for older in replaced {
            older.retire(drain::Reason::Replaced);
        }
        Registration { registry: Arc::clone(self), session: Arc::clone(session) }
    }

    /// The session with the least in progress among those of `agent_id` that take requests.
    pub fn pick(&self, agent_id: &str) -> Option<Arc<Session>> {
        let agents = self.read();
        let mut sessions = agents.get(agent_id)?.iter().filter(|session| session.takes_requests());
        let first = sessions.next()?;
        // Most agents have one session, and counting takes its lock.
        let Some(second) = sessions.next() else { return Some(Arc::clone(first)) };
        [first, second].into_iter().chain(sessions).min_by_key(|session| session.in_flight()).cloned()
    }

    /// All sessions of this moment, also those that take no more requests.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.live().values().cloned().collect()
    }

    /// How many agents take requests, however many sessions each has.
    pub fn agents(&self) -> usize {
        self.read().len()
    }

    /// Removes exactly this session: a late goodbye must not remove the heir of the same agent.
    fn remove(&self, session: &Arc<Session>) {
        let mut agents = self.write();
        if let Some(sessions) = agents.get_mut(session.agent_id().as_str()) {
            sessions.retain(|other| !Arc::ptr_eq(other, session));
            if sessions.is_empty() {
                agents.remove(session.agent_id().as_str());
            }
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<AgentId, Vec<Arc<Session>>>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<AgentId, Vec<Arc<Session>>>> {
        self.agents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.read().iter().map(|(id, sessions)| (id, sessions.len()))).finish()
    }
}

/// A session's place in the registry; dropping it gives the place up.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<Registry>,
    session: Arc<Session>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.remove(&self.session);
    }
}

/// A session's place among the living; dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Presence {
    registry: Arc<Registry>,
    id: Uuid,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.registry.live().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(instance: &str) -> Arc<Session> {
        Session::for_tests("myapp", instance)
    }

    #[test]
    fn a_late_goodbye_does_not_remove_the_heir() {
        let registry = Arc::new(Registry::default());
        let (older, newer) = (session("one"), session("one"));
        let first = registry.register(&older);
        let second = registry.register(&newer);
        assert!(older.is_retired());
        drop(first);
        assert!(Arc::ptr_eq(&registry.pick("myapp").unwrap(), &newer));
        drop(second);
        assert!(registry.pick("myapp").is_none());
    }

    #[test]
    fn agents_of_other_processes_share_the_id() {
        let registry = Arc::new(Registry::default());
        let (one, two, nameless) = (session("one"), session("two"), session(""));
        let all = [&one, &two, &nameless, &session("")];
        let _registrations = all.map(|session| registry.register(session));
        let presences = all.map(|session| registry.enter(session));
        assert_eq!(registry.sessions().len(), 4);
        drop(presences);
        assert!(registry.sessions().is_empty());
        assert!(![one, two, nameless].iter().any(|session| session.is_retired()));
    }

    #[test]
    fn unknown_agents_have_no_session() {
        assert!(Arc::new(Registry::default()).pick("myapp").is_none());
    }
}
