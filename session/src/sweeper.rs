use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::Ordering::{AcqRel, Release},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::session::Session;

/// How late a time-out may be noticed.
const TICK: Duration = Duration::from_millis(100);

/// One coarse clock for the time-outs of every exchange. A timer per request would cost a wake-up of the reactor each
/// (measured: an eventfd write and an extra epoll_wait); this costs one swap of a flag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sweeper {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    watched: Mutex<Vec<Weak<Session>>>,
    arrived: Notify,
}

impl Sweeper {
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
            if session.link.table().expire(now) {
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

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Session>>> {
        self.inner.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
