use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::connection::Connection;

/// Most connections that wait for a request.
pub(super) const MAX_IDLE: usize = 128;
/// How long a connection waits for a request.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections that wait for a request, the longest idle first. The one used last is taken first: the others may then
/// grow old and be closed.
#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<VecDeque<Entry>>);

#[derive(Debug)]
struct Entry {
    connection: Connection,
    since: Instant,
}

impl Idle {
    /// Takes the connection that was used last.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut entries = self.lock();
        drop_aged(&mut entries);
        // One that was put back a moment ago may not be ready yet: its task has yet to see the end of the exchange.
        let index = entries.iter().rposition(|entry| entry.connection.is_ready())?;
        entries.remove(index).map(|entry| entry.connection)
    }

    /// Keeps a connection whose exchange is over.
    pub(super) fn put(&self, connection: Connection) {
        if connection.is_closed() {
            return;
        }
        let mut entries = self.lock();
        drop_aged(&mut entries);
        if entries.len() == MAX_IDLE {
            entries.pop_front();
        }
        entries.push_back(Entry { connection, since: Instant::now() });
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_aged(entries: &mut VecDeque<Entry>) {
    let aged = |entry: &Entry| entry.connection.is_closed() || entry.since.elapsed() >= IDLE_TIMEOUT;
    while entries.front().is_some_and(aged) {
        entries.pop_front();
    }
}
