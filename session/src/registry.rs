use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use proto::AgentId;
use uuid::Uuid;

use crate::{
    session::Session,
    sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use pool::Pool;
use waiting::Waiting;

mod pool;
#[cfg(test)]
mod tests;
mod waiting;

pub use pool::{Choice, InUse, Instances, InvalidInstances};

/// Agent id to live sessions. Several agents may serve one id, each over several links; the same process connecting again
/// replaces its own older session.
pub struct Registry {
    /// Those that take requests.
    agents: RwLock<HashMap<AgentId, Pool>>,
    /// All, also those that only finish what they have, in the order in which they came.
    live: Mutex<BTreeMap<Uuid, Arc<Session>>>,
    waiting: Waiting,
    offline_grace: Duration,
    /// Turns out a different number each time it is asked.
    dice: AtomicU64,
}

impl Registry {
    /// An empty registry. A request for an agent that has just been lost may wait `offline_grace` for it. All that is
    /// drawn follows from `seed`.
    pub fn new(offline_grace: Duration, seed: u64) -> Self {
        Self {
            agents: RwLock::default(),
            live: Mutex::default(),
            waiting: Waiting::new(link::now()),
            offline_grace,
            dice: AtomicU64::new(seed),
        }
    }

    /// Counts `session` among the living, for as long as the presence lives.
    pub(crate) fn enter(self: &Arc<Self>, session: &Arc<Session>) -> Presence {
        self.live().insert(session.id(), Arc::clone(session));
        Presence { registry: Arc::clone(self), id: session.id() }
    }

    /// Makes `session` a choice for requests, for as long as the registration lives. What becomes of sessions of other
    /// processes is up to `instances`.
    ///
    /// # Errors
    /// [`InUse`] if another process has the place.
    pub fn register(
        self: &Arc<Self>,
        session: &Arc<Session>,
        instances: Instances,
    ) -> Result<Registration, InUse> {
        let replaced = {
            let mut agents = self.write();
            agents.entry(session.agent_id().clone()).or_default().admit(session, instances)?
        };
        for older in replaced {
            older.give_way();
        }
        self.waiting.on_arrival(session.agent_id());
        Ok(Registration { registry: Arc::clone(self), session: Arc::clone(session), has_left: false })
    }

    /// A session for a request, the better of two that are drawn among the best. Those that `avoid` names do not count.
    pub fn pick(&self, agent_id: &str, avoid: impl Fn(&Arc<Session>) -> bool) -> Choice {
        let agents = self.read();
        let Some(pool) = agents.get(agent_id) else { return Choice::Nobody };
        pool.choose(avoid, |below| self.draw(below))
    }

    /// A session of an agent that was lost a moment ago, once it is back; `None` if it is not expected, or not in time, or
    /// if too many wait already. `is_expected` decides about an agent of whose going nothing is known.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn arrival(
        &self,
        agent_id: &AgentId,
        patience: Duration,
        avoid: impl Fn(&Arc<Session>) -> bool,
        is_expected: impl FnOnce() -> bool,
    ) -> Option<Arc<Session>> {
        let patience = patience.min(self.offline_grace);
        if patience.is_zero() {
            return None;
        }
        let visitor = self.waiting.enter(agent_id, link::now(), is_expected)?;
        let arrived = async {
            loop {
                // Heard from here on, so that nobody can come between the look and the wait.
                let arrival = visitor.next();
                if let Choice::Session(session) = self.pick(agent_id.as_str(), &avoid) {
                    return session;
                }
                arrival.await;
            }
        };
        tokio::time::timeout(patience, arrived).await.ok()
    }

    /// Whether all agents were lost a moment ago, since this process has only begun.
    pub(crate) fn has_just_begun(&self) -> bool {
        self.waiting.has_just_begun(link::now())
    }

    /// Requests that wait for an agent at this moment.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether a request that `session` does not answer has a better place to go to.
    pub(crate) fn has_alternative(&self, session: &Arc<Session>) -> bool {
        self.read().get(session.agent_id().as_str()).is_some_and(|pool| pool.has_better(session))
    }

    /// All sessions of this moment, also those that take no more requests.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.live().values().cloned().collect()
    }

    /// How many agents take requests, however many sessions each has.
    pub fn agents(&self) -> usize {
        self.read().len()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.live().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes exactly this session: a late goodbye must not remove the heir of the same agent.
    fn remove(&self, session: &Arc<Session>, has_left: bool) {
        let mut agents = self.write();
        let Some(pool) = agents.get_mut(session.agent_id().as_str()) else { return };
        if pool.remove(session) && pool.is_empty() {
            agents.remove(session.agent_id().as_str());
            self.waiting.on_departure(session.agent_id(), has_left, link::now());
        }
    }

    /// A number below `below`, never the same twice in a row for long (SplitMix64).
    fn draw(&self, below: usize) -> usize {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.dice.fetch_add(STEP, Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from((u128::from(mixed) * below as u128) >> 64).unwrap_or(0)
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<Uuid, Arc<Session>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<AgentId, Pool>> {
        self.agents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<AgentId, Pool>> {
        self.agents.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.read().iter().map(|(id, pool)| (id, pool.len()))).finish()
    }
}

/// A session's place in the registry; dropping it gives the place up.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<Registry>,
    session: Arc<Session>,
    has_left: bool,
}

impl Registration {
    /// Gives the place up because the agent says that it leaves: nobody need wait for it.
    pub(crate) fn leave(mut self) {
        self.has_left = true;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Nor does anybody come back whose credential is not good any more.
        let has_left = self.has_left || self.session.is_withdrawn();
        self.registry.remove(&self.session, has_left);
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

/// Whether `then` is less than `span` before `now`.
fn is_within(span: Duration, then: Instant, now: Instant) -> bool {
    now.saturating_duration_since(then) < span
}
