use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use proto::{AgentId, limits};
use tokio::sync::{Notify, futures::OwnedNotified};

use super::is_within;
use crate::sync::{Mutex, MutexGuard};

/// For how long an agent that was lost is expected back. Behind that it counts as gone.
const EXPECTED: Duration = Duration::from_secs(10);

/// Requests that wait for agents which were lost a moment ago. A gateway that has just begun has lost them all.
#[derive(Debug)]
pub(super) struct Waiting {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    gone: HashMap<AgentId, Gone>,
    agents: HashMap<AgentId, Expected>,
    total: usize,
}

/// An agent without a session.
#[derive(Debug)]
struct Gone {
    since: Instant,
    /// Whether it is not expected back.
    has_left: bool,
}

#[derive(Debug, Default)]
struct Expected {
    arrival: Arc<Notify>,
    waiting: usize,
}

/// A request that waits. Dropping it makes room for another one.
pub(super) struct Visitor<'a> {
    waiting: &'a Waiting,
    agent_id: &'a AgentId,
    arrival: Arc<Notify>,
}

impl Waiting {
    pub(super) fn new(begun: Instant) -> Self {
        Self { begun, state: Mutex::default() }
    }

    /// The last session of an agent is gone. `has_left` says that it will not be back: it said so, or may not.
    pub(super) fn on_departure(&self, agent_id: &AgentId, has_left: bool, now: Instant) {
        let mut state = self.lock();
        if state.gone.len() == state.gone.capacity() {
            state.gone.retain(|_, gone| is_within(EXPECTED, gone.since, now));
        }
        state.gone.insert(agent_id.clone(), Gone { since: now, has_left });
    }

    /// An agent has a session again.
    pub(super) fn on_arrival(&self, agent_id: &AgentId) {
        let mut state = self.lock();
        state.gone.remove(agent_id);
        if let Some(expected) = state.agents.get(agent_id) {
            expected.arrival.notify_waiters();
        }
    }

    /// Lets a request wait, if its agent is expected and there is room. `is_expected` decides about an agent of whose going
    /// nothing is known.
    pub(super) fn enter<'a>(
        &'a self,
        agent_id: &'a AgentId,
        now: Instant,
        is_expected: impl FnOnce() -> bool,
    ) -> Option<Visitor<'a>> {
        let mut state = self.lock();
        let is_expected = match state.gone.get(agent_id) {
            Some(gone) => !gone.has_left && is_within(EXPECTED, gone.since, now),
            None => is_expected(),
        };
        if !is_expected || state.total >= limits::MAX_WAITING {
            return None;
        }
        let expected = state.agents.entry(agent_id.clone()).or_default();
        if expected.waiting >= limits::MAX_WAITING_PER_AGENT {
            return None;
        }
        expected.waiting += 1;
        let arrival = Arc::clone(&expected.arrival);
        state.total += 1;
        Some(Visitor { waiting: self, agent_id, arrival })
    }

    /// Whether all agents were lost a moment ago: they were another process's.
    pub(super) fn has_just_begun(&self, now: Instant) -> bool {
        is_within(EXPECTED, self.begun, now)
    }

    pub(super) fn len(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visitor<'_> {
    /// Completes at the next arrival of the agent, heard from this call on.
    pub(super) fn next(&self) -> Pin<Box<OwnedNotified>> {
        let mut arrival = Box::pin(Arc::clone(&self.arrival).notified_owned());
        arrival.as_mut().enable();
        arrival
    }
}

impl Drop for Visitor<'_> {
    fn drop(&mut self) {
        let mut state = self.waiting.lock();
        state.total -= 1;
        if let Some(expected) = state.agents.get_mut(self.agent_id) {
            expected.waiting -= 1;
            if expected.waiting == 0 {
                state.agents.remove(self.agent_id);
            }
        }
    }
}
