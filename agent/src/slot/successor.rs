use std::{
    future::pending,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;
use tracing::debug;

use super::Slot;
use crate::{
    board::Why,
    choice::{self, Reached},
    learning::Plan,
};

/// How often a better address is tried while a lesser one is in use: at first, and after that many times.
const PROBE_OFTEN: Duration = Duration::from_secs(10);
const PROBES_OFTEN: u32 = 30;
const PROBE_RARELY: Duration = Duration::from_secs(60);

/// Within this time a slot tries a better address that worked for another one.
const FOLLOW: Duration = Duration::from_secs(1);

/// Pause after a link that should be replaced could not be.
const AGAIN: Duration = Duration::from_secs(2);

/// A link that takes the place of another, which still works.
pub(super) struct Successor {
    pub(super) why: Why,
    pub(super) reached: Reached,
}

impl Slot {
    /// Makes a successor for the link over the address `current`: when it is as old as it shall be, or when there is a
    /// better address; for ever if neither comes. The gateway moves new requests to it and lets the old link finish: no
    /// request notices. `trying` says whether an attempt is in progress; there is one at a time, for of two that are
    /// accepted only the later one would live.
    pub(super) async fn successor(
        &self,
        current: usize,
        begun: std::time::Instant,
        plan: Plan,
        trying: &AtomicBool,
    ) -> Successor {
        let better: Vec<usize> = (0..current).collect();
        let mut rotation = end_of(begun, plan);
        let mut lessons = self.shared.lessons.subscribe();
        let mut accepted = self.shared.accepted.subscribe();
        let mut probes = 0;
        let mut probe = better.first().map(|_| Instant::now() + probe_pause(probes));
        loop {
            let (why, order) = tokio::select! {
                () = at(rotation) => (Why::Rotated, no_worse(current)),
                () = at(probe) => (Why::Better, better.clone()),
                Ok(()) = accepted.changed() => {
                    if accepted.borrow_and_update().is_some_and(|index| index < current) {
                        probe = Some(Instant::now() + FOLLOW.mul_f64(rand::random()));
                    }
                    continue;
                }
                // It counts for a link that began before as well.
                Ok(()) = lessons.changed() => {
                    rotation = end_of(begun, self.plan(link::now()));
                    continue;
                }
            };
            trying.store(true, Relaxed);
            let shared = &self.shared;
            let outcome =
                choice::first(&shared.connector, self.number, &shared.config.gateways, &order).await;
            trying.store(false, Relaxed);
            match outcome {
                Ok(reached) => return Successor { why, reached },
                Err(failures) => debug!(link = self.number, ?failures, why = why.label(), "no successor yet"),
            }
            match why {
                Why::Rotated => rotation = Some(Instant::now() + AGAIN.mul_f64(0.5 + rand::random::<f64>())),
                _ => {
                    probes += 1;
                    probe = Some(Instant::now() + probe_pause(probes));
                }
            }
        }
    }
}

/// Positions of the addresses that are no worse than the current one, that first: a link is not moved to a lesser address
/// for its age.
fn no_worse(current: usize) -> Vec<usize> {
    std::iter::once(current).chain(0..current).collect()
}

/// When a link that began at `begun` shall have a successor for its age.
fn end_of(begun: std::time::Instant, plan: Plan) -> Option<Instant> {
    match plan {
        Plan::Rotate(age) => begun.checked_add(age).map(Instant::from_std),
        Plan::Keep | Plan::Probe(_) => None,
    }
}

fn probe_pause(probes: u32) -> Duration {
    let interval = if probes < PROBES_OFTEN { PROBE_OFTEN } else { PROBE_RARELY };
    interval.mul_f64(0.8 + 0.4 * rand::random::<f64>())
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => pending().await,
    }
}
