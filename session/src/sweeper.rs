use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::Ordering::{AcqRel, Release},
    },
    time::{Duration, Instant},
};

use link::{CloseReason, Doubt};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{Registry, session::Session};

/// How late a time-out may be noticed.
const TICK: Duration = Duration::from_millis(100);

/// One coarse clock for the time-outs of every exchange, and for doubts about agents from whom something is expected. A
/// timer per request would cost a wake-up of the reactor each (measured: an eventfd write and an extra epoll_wait); this
/// costs one swap of a flag.
#[derive(Clone, Debug)]
pub(crate) struct Sweeper {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    watched: Mutex<Vec<Weak<Session>>>,
    arrived: Notify,
    registry: Arc<Registry>,
    /// How long an agent may leave a PING unanswered.
    patience: Duration,
}

impl Sweeper {
    /// A sweeper for the sessions in `registry`, each of which may leave a PING unanswered for `patience`.
    pub(crate) fn new(registry: Arc<Registry>, patience: Duration) -> Self {
        let inner = Inner { watched: Mutex::default(), arrived: Notify::new(), registry, patience };
        Self { inner: Arc::new(inner) }
    }

    /// Where the sessions are.
    pub(crate) fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Makes sure that the exchanges of `session` are looked after while there are any.
    pub(crate) fn watch(&self, session: &Arc<Session>) {
        if session.watched.swap(true, AcqRel) {
            return;
        }
        self.list().push(Arc::downgrade(session));
        self.inner.arrived.notify_one();
    }

    /// Sweeps for ever.
    pub(crate) async fn run(self) {
        loop {
            if self.list().is_empty() {
                self.inner.arrived.notified().await;
            }
            tokio::time::sleep(TICK).await;
            self.sweep(link::now());
        }
    }

    fn sweep(&self, now: Instant) {
        let watched = std::mem::take(&mut *self.list());
        for weak in watched {
            let Some(session) = weak.upgrade() else { continue };
            let (busy, doubt) = {
                let mut table = session.link.table();
                (table.expire(now), table.examine(now))
            };
            self.act_on(doubt, &session);
            // One that is in doubt is watched until it is heard of, or closed.
            if busy || doubt != Doubt::Sure && !session.link.is_closed() {
                self.list().push(weak);
                continue;
            }
            session.watched.store(false, Release);
            // A request may have come between the look and the flag.
            if session.in_flight() > 0 {
                self.watch(&session);
            }
        }
    }

    /// What a link may have swallowed is sent over another one, if there is one.
    fn act_on(&self, doubt: Doubt, session: &Arc<Session>) {
        let Doubt::Suspect(waited) = doubt else { return };
        if waited >= self.inner.patience {
            warn!(session = %session.id(), agent = %session.agent_id(), ?waited, "no answer to a PING, session closed");
            return session.close(CloseReason::Silent);
        }
        if session.set_suspect(true) {
            info!(session = %session.id(), agent = %session.agent_id(), ?waited, "no answer to a PING, requests go elsewhere");
        }
        if self.inner.registry.has_alternative(session) {
            session.link.table().give_up_unanswered();
        }
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Session>>> {
        self.inner.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
