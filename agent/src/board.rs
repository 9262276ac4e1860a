use std::{
    array,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tracing::debug;

use crate::{Config, Event, GatewayUrl, Observer, record::Record};

/// What the parts of an agent know of each other: each writes what it does, and anybody may look.
pub(crate) struct Board {
    pub(crate) agent_id: String,
    pub(crate) target: String,
    pub(crate) begun: Instant,
    /// Whether somebody looks after the health of the service.
    pub(crate) is_checked: bool,
    observer: Observer,
    slots: Vec<Mutex<Place>>,
    /// What the observer was told last. Held while that is compared with the links and while it is told, so that nobody
    /// is told things in the wrong order: the only lock here under which others are taken.
    told: Mutex<Told>,
    public_urls: Mutex<Vec<String>>,
    health: watch::Sender<Health>,
    reconnects: [AtomicU64; Why::ALL.len()],
    requests: [AtomicU64; OUTCOMES.len()],
}

/// What one slot writes.
#[derive(Default)]
pub(crate) struct Place {
    links: Vec<Weak<Record>>,
    /// Links that followed upon another.
    pub(crate) reconnects: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) retry_at: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Offline,
    Online,
}

/// Whether the local service can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) serving: bool,
    /// Why not.
    pub(crate) message: String,
}

/// Why a slot needs another link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The link ended without a goodbye.
    Lost,
    /// The gateway did not answer any more.
    Silent,
    /// The gateway asked for it.
    Drained,
    /// Another agent took this one's place.
    Replaced,
    /// It was old enough.
    Rotated,
    /// There is a better address.
    Better,
}

/// How requests end, by the class of their status.
pub(crate) const OUTCOMES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "aborted"];
const ABORTED: usize = OUTCOMES.len() - 1;

impl Why {
    pub(crate) const ALL: [Self; 6] =
        [Self::Lost, Self::Silent, Self::Drained, Self::Replaced, Self::Rotated, Self::Better];

    /// The name in logs and metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Drained => "drained",
            Self::Replaced => "replaced",
            Self::Rotated => "rotated",
            Self::Better => "better",
        }
    }
}

impl Board {
    pub(crate) fn new(config: &Config, observer: Observer) -> Arc<Self> {
        let serving = Health { serving: true, message: String::new() };
        Arc::new(Self {
            agent_id: config.agent_id.to_string(),
            target: config.upstream.to_string(),
            begun: link::now(),
            is_checked: config.health_check.is_some(),
            observer,
            slots: (0..config.connections.max(1)).map(|_| Mutex::default()).collect(),
            told: Mutex::new(Told::Offline),
            public_urls: Mutex::default(),
            health: watch::Sender::new(serving),
            reconnects: array::from_fn(|_| AtomicU64::new(0)),
            requests: array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    /// A slot begins an attempt.
    pub(crate) fn on_attempt(&self, slot: u32, gateway: &GatewayUrl) -> Arc<Record> {
        let record = Arc::new(Record::new(slot, gateway.clone()));
        let mut place = self.place(slot);
        place.links.retain(|link| link.strong_count() > 0);
        place.links.push(Arc::downgrade(&record));
        record
    }

    /// A slot that has no link goes and looks for one. Only the first one's search is told, and only if no link is left.
    pub(crate) fn on_search(&self, slot: u32, gateway: &GatewayUrl) {
        self.place(slot).retry_at = None;
        let mut told = lock(&self.told);
        if slot == 0 && self.ready() == 0 {
            *told = Told::Offline;
            (self.observer)(Event::Connecting { gateway: gateway.to_string() });
        }
    }

    /// A slot was accepted. Told if there was no link before, or if `moved`: what was told before is true no more.
    pub(crate) fn on_online(&self, slot: u32, record: &Record, public_urls: &[String], moved: bool) {
        let gateway = record.gateway();
        let gateway_id = record.accepted().map_or_else(String::new, |accepted| accepted.gateway_id.clone());
        {
            let mut place = self.place(slot);
            place.last_error = None;
            place.retry_at = None;
        }
        *lock(&self.public_urls) = public_urls.to_vec();
        let mut told = lock(&self.told);
        if *told == Told::Online && !moved {
            debug!(link = slot, %gateway, gateway_id, "another link is online");
            return;
        }
        *told = Told::Online;
        (self.observer)(Event::Online {
            public_urls: public_urls.to_vec(),
            transport: gateway.transport.label(),
            gateway_id,
            gateway: gateway.to_string(),
        });
    }

    /// A slot has no link and pauses. Told if that was the last one, and as long as there is none by the first slot.
    pub(crate) fn on_offline(&self, slot: u32, reason: String, retry_in: Duration) {
        {
            let mut place = self.place(slot);
            place.last_error = Some(reason.clone());
            place.retry_at = Some(link::now() + retry_in);
        }
        let mut told = lock(&self.told);
        let first_to_tell = *told == Told::Online || slot == 0;
        if self.ready() > 0 || !first_to_tell {
            debug!(link = slot, reason, ?retry_in, "a link is offline");
            return;
        }
        *told = Told::Offline;
        (self.observer)(Event::Offline { reason, retry_in });
    }

    /// A slot needs another link.
    pub(crate) fn on_reconnect(&self, slot: u32, why: Why) {
        self.place(slot).reconnects += 1;
        self.reconnects[why as usize].fetch_add(1, Relaxed);
    }

    /// The agent takes no more requests. Not told if it has no link anyway.
    pub(crate) fn on_leaving(&self) {
        let links: Vec<_> = self.links().collect();
        if links.iter().any(|link| link.accepted().is_some()) {
            let in_flight = links.iter().map(|link| link.in_progress()).sum();
            (self.observer)(Event::Draining { in_flight });
        }
    }

    /// The first slot's link has a first or a better round trip.
    pub(crate) fn on_round_trip(&self, round_trip: Duration) {
        (self.observer)(Event::RoundTrip(round_trip));
    }

    /// Whether the service can be asked has changed.
    pub(crate) fn on_health(&self, health: Health) {
        self.health.send_replace(health);
    }

    /// An observer that counts requests besides.
    pub(crate) fn counting(self: &Arc<Self>) -> Observer {
        let board = Arc::clone(self);
        Arc::new(move |event| {
            if let Event::Request { status, error, .. } = &event {
                let outcome = match status {
                    Some(status) if error.is_none() => usize::from(*status / 100).clamp(1, ABORTED) - 1,
                    _ => ABORTED,
                };
                board.requests[outcome].fetch_add(1, Relaxed);
            }
            (board.observer)(event);
        })
    }

    /// Whether the service can be asked, now and from now on.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    pub(crate) fn public_urls(&self) -> Vec<String> {
        lock(&self.public_urls).clone()
    }

    /// How many slots there are.
    pub(crate) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(crate) fn place(&self, slot: u32) -> MutexGuard<'_, Place> {
        lock(&self.slots[slot as usize])
    }

    /// How often a slot needed another link, by reason.
    pub(crate) fn reconnects(&self) -> impl Iterator<Item = (Why, u64)> {
        Why::ALL.into_iter().map(|why| (why, self.reconnects[why as usize].load(Relaxed)))
    }

    /// How many requests ended in each of [`OUTCOMES`].
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(self.requests.iter().map(|count| count.load(Relaxed)))
    }

    /// Links on which requests may come.
    pub(crate) fn ready(&self) -> usize {
        self.links().filter(|link| link.is_ready()).count()
    }

    fn links(&self) -> impl Iterator<Item = Arc<Record>> {
        (0..self.slots()).flat_map(|slot| self.place(slot).links())
    }
}

impl Place {
    /// What the slot holds: attempts, its link, and those that end.
    pub(crate) fn links(&self) -> Vec<Arc<Record>> {
        self.links.iter().filter_map(Weak::upgrade).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
