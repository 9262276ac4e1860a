//! Clients that take nothing of what they asked for. The library waits for a stream's window for ever and does not ask
//! its body meanwhile, so that nobody would tell it that the exchange behind is long over; and it keeps a connection on
//! which nothing is asked.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::MAX_STREAMS;
use crate::ingress::h1::Patience;

/// Whose turn it is with a response.
#[derive(Debug)]
pub(super) struct Turn(AtomicU8);

/// The service's, or ours.
const OURS: u8 = 0;
/// The client's: it was given something that it has not taken.
const CLIENTS: u8 = 1;
/// The client's, for at least the time between two looks.
const CLIENTS_STILL: u8 = 2;

impl Turn {
    pub(super) fn is_ours(&self) {
        self.0.store(OURS, Relaxed);
    }

    pub(super) fn is_clients(&self) {
        self.0.store(CLIENTS, Relaxed);
    }

    /// Whether the client has taken nothing since the last look.
    fn look(&self) -> bool {
        let was = self.0.compare_exchange(CLIENTS, CLIENTS_STILL, Relaxed, Relaxed);
        was == Err(CLIENTS_STILL)
    }
}

/// The turns of all responses of a connection.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Responses>);

#[derive(Debug, Default)]
struct Responses {
    turns: Vec<Weak<Turn>>,
    /// Whether there was a request since the last look.
    any: bool,
}

/// What a look at a connection shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is asked.
    Idle,
    /// All that is asked for waits for the client.
    Stalled,
    Busy,
}

impl Turns {
    /// A request came. It lasts until the turn is dropped.
    pub(super) fn begin(&self) -> Arc<Turn> {
        let turn = Arc::new(Turn(AtomicU8::new(OURS)));
        let mut responses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if responses.turns.len() >= 2 * MAX_STREAMS as usize {
            responses.turns.retain(is_alive);
        }
        responses.turns.push(Arc::downgrade(&turn));
        responses.any = true;
        turn
    }

    fn look(&self) -> State {
        let mut responses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        responses.turns.retain(is_alive);
        let any = std::mem::take(&mut responses.any);
        let mut all_stalled = true;
        for turn in responses.turns.iter().filter_map(Weak::upgrade) {
            all_stalled &= turn.look();
        }
        match responses.turns.is_empty() {
            true if any => State::Busy,
            true => State::Idle,
            false if all_stalled => State::Stalled,
            false => State::Busy,
        }
    }
}

fn is_alive(turn: &Weak<Turn>) -> bool {
    turn.strong_count() > 0
}

/// Completes when a connection is of no more use: its client has taken nothing of anything for as long as it may, or a
/// connection that was idle could not be brought to its end. As long as one response moves, others may wait: behind a
/// proxy they are other people's.
pub(super) async fn watch(turns: &Turns, patience: Patience, pause: CancellationToken) {
    let Patience { keep_alive, write, .. } = patience;
    let interval = write.map_or(keep_alive, |write| write.min(keep_alive)) / 4;
    let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
    // A host that stood still is not the client's fault: looks that were missed are not made up for.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = (State::Busy, Duration::ZERO);
    loop {
        ticks.tick().await;
        let state = turns.look();
        seen = if state == seen.0 { (state, seen.1 + interval) } else { (state, Duration::ZERO) };
        match seen {
            (State::Idle, since) if since >= keep_alive && !pause.is_cancelled() => {
                pause.cancel();
                seen.1 = Duration::ZERO;
            }
            (State::Idle, since) if since >= keep_alive => return debug!("an idle connection did not end"),
            (State::Stalled, since) if write.is_some_and(|write| since >= write) => {
                return debug!("a client has taken nothing");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    fn patience() -> Patience {
        let seconds = Duration::from_secs;
        Patience { head: seconds(10), keep_alive: seconds(80), rest: seconds(2), write: Some(seconds(60)) }
    }

    #[test]
    fn a_connection_is_stalled_when_all_of_it_is() {
        let turns = Turns::default();
        assert_eq!(turns.look(), State::Idle);
        let [first, second] = [turns.begin(), turns.begin()];
        assert_eq!(turns.look(), State::Busy);
        first.is_clients();
        second.is_clients();
        assert_eq!(turns.look(), State::Busy, "they may just have been given something");
        assert_eq!(turns.look(), State::Stalled);
        second.is_clients();
        assert_eq!(turns.look(), State::Busy, "something was taken");
        assert_eq!(turns.look(), State::Stalled);
        second.is_ours();
        assert_eq!((turns.look(), turns.look()), (State::Busy, State::Busy));
        drop(second);
        assert_eq!(turns.look(), State::Stalled);
        drop(first);
        assert_eq!(turns.look(), State::Idle);
        drop(turns.begin());
        assert_eq!((turns.look(), turns.look()), (State::Busy, State::Idle));
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let turns = Turns::default();
        for _ in 0..100_000 {
            turns.begin();
        }
        assert!(turns.0.lock().unwrap().turns.len() <= 2 * MAX_STREAMS as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends() {
        let (turns, begun) = (Turns::default(), Instant::now());
        let turn = turns.begin();
        let pause = CancellationToken::new();
        assert!(timeout(Duration::from_secs(3600), watch(&turns, patience(), pause.clone())).await.is_err());
        turn.is_clients();
        watch(&turns, patience(), pause.clone()).await;
        assert!(begun.elapsed() < Duration::from_secs(3600 + 120));
        assert!(!pause.is_cancelled());
        drop(turn);
        let idle = Instant::now();
        watch(&turns, patience(), pause.clone()).await;
        assert!(pause.is_cancelled(), "it was asked to end first");
        assert!(idle.elapsed() >= Duration::from_secs(160));
    }
}
