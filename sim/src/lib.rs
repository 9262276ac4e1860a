//! A deterministic simulation: gateways, agents, clients and services in one thread, on a clock that only moves when
//! everybody waits, over a network that does what a seed says.
//!
//! Real are [`session::Acceptor`], its registry and its dispatcher, all of [`agent::Agent`] but the sockets, [`link`], and
//! the bytes of [`proto::codec`]. Virtual are the connections (`wire`, `network`), the services (`service`), and the
//! clients with the part of the ingress that speaks HTTP (`client`). The same seed gives the same events in the same
//! order.
//!
//! What must hold for every seed is in `verdict` (for each client) and `finale` (for everybody, at the end).

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic,
    sync::{Arc, Once},
};

use trace::Trace;

mod body;
mod client;
mod dice;
mod finale;
mod gateway;
mod ledger;
mod network;
mod play;
mod process;
mod scenario;
mod service;
mod storm;
mod summary;
mod trace;
mod verdict;
mod wire;

/// What came of a seed.
#[derive(Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// A number that is the same whenever the same things happened in the same order.
    pub hash: u64,
    /// How many things happened.
    pub events: u64,
    /// What happened that must not.
    pub violations: Vec<String>,
    /// All that happened, if it was asked for.
    pub lines: Vec<String>,
    /// How requests ended, by kind.
    pub outcomes: BTreeMap<&'static str, u64>,
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Lets happen what `seed` stands for. `readable` keeps what happened as text.
///
/// # Panics
/// If there can be no runtime.
pub fn run(seed: u64, readable: bool) -> Report {
    listen_for_panics();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    let (trace, outcomes) = runtime.block_on(async {
        let trace = Arc::new(Trace::new(readable));
        let outcomes = play::play(seed, &trace).await;
        (trace, outcomes)
    });
    drop(runtime);
    let (hash, events, mut violations, lines) = trace.take();
    let panics = PANICS.with_borrow_mut(std::mem::take);
    violations.extend(panics.into_iter().map(|panic| format!("a panic: {panic}")));
    Report { seed, hash, events, violations, lines, outcomes }
}

/// A task that panics must not do so unheard.
fn listen_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            before(info);
        }));
    });
}
