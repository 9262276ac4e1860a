use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What reached services, by the number of the client.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Mutex<BTreeMap<usize, Entry>>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    executions: u32,
    first_process: Option<usize>,
}

impl Ledger {
    /// A request arrived at a process. Returns the process that was the first to see it.
    pub(crate) fn on_arrived(&self, client: usize, process: usize) -> usize {
        *self.entries().entry(client).or_default().first_process.get_or_insert(process)
    }

    /// A service began to do what a request asks for.
    pub(crate) fn on_executed(&self, client: usize) {
        self.entries().entry(client).or_default().executions += 1;
    }

    /// How often a request was executed.
    pub(crate) fn executions(&self, client: usize) -> u32 {
        self.entries().get(&client).map_or(0, |entry| entry.executions)
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<usize, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
