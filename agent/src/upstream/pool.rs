use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Connection, UpstreamError, UpstreamTls,
    dial::{self, Offer},
};
use crate::Upstream;

/// Most connections that wait for a request: as many as there can be requests. With fewer, those beyond them would each open
/// a connection of its own.
pub(super) const MAX_IDLE: usize = proto::limits::MAX_CONCURRENT as usize;
/// How long a connection waits for a request, unless the service says that it waits for less.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How much earlier than the service a connection is given up, so that the two do not meet.
const HEAD_START: Duration = Duration::from_secs(1);
/// How often idle connections are looked at, so that none stays half closed for long. One clock for all of them: a timer
/// for each would cost every request.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Connections to one local service that speak HTTP/1.1. Clones share them; the last one to go closes those that are idle.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    upstream: Upstream,
    tls: UpstreamTls,
    idle: Mutex<Idle>,
}

/// Connections that wait for a request. The one used last is taken first: the others may then grow old and be closed.
#[derive(Debug, Default)]
struct Idle {
    resting: VecDeque<Resting>,
    /// Runs while there is anything to sweep.
    sweeper: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
struct Resting {
    connection: Connection,
    until: Instant,
}

impl Pool {
    /// A pool without connections; the first request dials.
    pub(super) fn new(upstream: Upstream, tls: UpstreamTls) -> Self {
        Self { inner: Arc::new(Inner { upstream, tls, idle: Mutex::default() }) }
    }

    /// An idle connection that is still good as far as anybody knows.
    pub(crate) fn take(&self) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.inner.idle();
        while let Some(mut resting) = idle.resting.pop_back() {
            if resting.is_good(now) {
                return Some(resting.connection);
            }
        }
        None
    }

    /// A fresh connection.
    ///
    /// # Errors
    /// [`UpstreamError::Connect`], [`UpstreamError::ConnectTimeout`] and [`UpstreamError::Tls`].
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub(crate) async fn dial(&self) -> Result<Connection, UpstreamError> {
        let Inner { upstream, tls, .. } = &*self.inner;
        dial::dial(upstream, tls, Offer::Http1).await.map(Connection::new)
    }

    /// Keeps a connection whose exchange is over. `patience` is what the service said of its own.
    pub(crate) fn put(&self, mut connection: Connection, patience: Option<Duration>) {
        let wait =
            patience.map_or(IDLE_TIMEOUT, |patience| patience.saturating_sub(HEAD_START).min(IDLE_TIMEOUT));
        if wait.is_zero() {
            return;
        }
        connection.rest();
        let mut idle = self.inner.idle();
        if idle.resting.len() == MAX_IDLE {
            idle.resting.pop_front();
        }
        idle.resting.push_back(Resting { connection, until: Instant::now() + wait });
        if idle.sweeper.is_none() {
            let sweeper = tokio::spawn(sweep(Arc::downgrade(&self.inner)));
            idle.sweeper = Some(AbortOnDropHandle::new(sweeper));
        }
    }
}

impl Inner {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resting {
    fn is_good(&mut self, now: Instant) -> bool {
        now < self.until && self.connection.is_quiet()
    }
}

/// Closes what the service has closed and what is old, until nothing is left.
async fn sweep(pool: Weak<Inner>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut idle = pool.idle();
        idle.resting.retain_mut(|resting| resting.is_good(now));
        if idle.resting.is_empty() {
            idle.sweeper = None;
            return;
        }
    }
}
