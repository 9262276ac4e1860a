use std::{
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use link::{LifeEvent, Lifecycle, LinkState};
use tracing::{debug, error};

use crate::{GatewayUrl, connection::AgentLink};

/// One link as the rest of the agent sees it, from the attempt to its end: where it leads, how far it has come in its
/// life, and what it carries. Dropping it is its end.
pub(crate) struct Record {
    slot: u32,
    gateway: GatewayUrl,
    life: Mutex<Lifecycle>,
    accepted: OnceLock<Accepted>,
    pinged: AtomicBool,
    taken: AtomicU64,
    spread_ms: AtomicU32,
}

/// What is known of a link once it is accepted.
pub(crate) struct Accepted {
    pub(crate) link: AgentLink,
    pub(crate) gateway_id: String,
    pub(crate) since: Instant,
}

impl Record {
    /// An attempt of a slot to reach `gateway` begins.
    pub(crate) fn new(slot: u32, gateway: GatewayUrl) -> Self {
        let record = Self {
            slot,
            gateway,
            life: Mutex::new(Lifecycle::disconnected(link::now())),
            accepted: OnceLock::new(),
            pinged: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            spread_ms: AtomicU32::new(0),
        };
        record.on(LifeEvent::Dial);
        record
    }

    /// Takes note of what happened to the link. What cannot happen is a bug of ours, which must not cost the link.
    pub(crate) fn on(&self, event: LifeEvent) {
        let (from, to) = {
            let mut life = self.life();
            let from = life.state(0, false);
            let outcome = life.on(event, link::now());
            (from, outcome.map(|()| life.state(0, false)))
        };
        let (link, gateway) = (self.slot, &self.gateway);
        match to {
            Ok(to) => debug!(link, %gateway, %from, %to, ?event, "link changed"),
            Err(illegal) => {
                error!(link, %gateway, %illegal, "link in a state that cannot be; please report this")
            }
        }
    }

    /// The gateway accepted the agent on it.
    pub(crate) fn on_accepted(&self, link: AgentLink, gateway_id: String) {
        let _first = self.accepted.set(Accepted { link, gateway_id, since: link::now() });
        self.on(LifeEvent::Accepted);
    }

    /// It is over. May be said twice, by those who end it and by those who notice.
    pub(crate) fn on_lost(&self) {
        if self.state() != LinkState::Disconnected {
            self.on(LifeEvent::Lost);
        }
    }

    /// A request arrived on it.
    pub(crate) fn on_request(&self) {
        self.taken.fetch_add(1, Relaxed);
    }

    /// A PING waits for its answer, or has it.
    pub(crate) fn on_heartbeat(&self, waiting: bool) {
        self.pinged.store(waiting, Relaxed);
    }

    /// The gateway advised how widely to spread, should the link be lost.
    pub(crate) fn on_advice(&self, spread_ms: u32) {
        self.spread_ms.store(spread_ms, Relaxed);
    }

    /// What the gateway advised last.
    pub(crate) fn spread(&self) -> Duration {
        Duration::from_millis(self.spread_ms.load(Relaxed).into())
    }

    pub(crate) fn gateway(&self) -> &GatewayUrl {
        &self.gateway
    }

    pub(crate) fn accepted(&self) -> Option<&Accepted> {
        self.accepted.get()
    }

    /// Requests that arrived on it.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// Requests in progress on it.
    pub(crate) fn in_progress(&self) -> usize {
        self.accepted.get().map_or(0, |accepted| accepted.link.table().active())
    }

    /// What it looks like.
    pub(crate) fn state(&self) -> LinkState {
        let in_progress = self.in_progress();
        self.life().state(in_progress, self.pinged.load(Relaxed))
    }

    /// Whether requests may come on it.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state(), LinkState::Connected | LinkState::Processing | LinkState::Heartbeat)
    }

    fn life(&self) -> MutexGuard<'_, Lifecycle> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.on_lost();
    }
}
