use std::sync::{
    Arc,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use tokio::sync::Notify;

/// Tells an agent that the world may have changed: links are asked at once whether they still work, and attempts that
/// wait for their time are made now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Told>);

/// How often it was told. Not a channel of tokio's that tells many, for that wakes them in an order that it draws.
#[derive(Debug, Default)]
struct Told {
    count: AtomicU64,
    changed: Notify,
}

/// Hears of nudges, each once.
#[derive(Debug)]
pub(crate) struct Nudges {
    told: Arc<Told>,
    heard: u64,
}

impl Nudge {
    /// Tells it.
    pub fn nudge(&self) {
        self.0.count.fetch_add(1, Release);
        self.0.changed.notify_waiters();
    }

    /// Hears of what is told from now on.
    pub(crate) fn listen(&self) -> Nudges {
        Nudges { told: Arc::clone(&self.0), heard: self.0.count.load(Acquire) }
    }
}

impl Nudges {
    /// Completes at the next nudge, or at once if there was one that was not heard of.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn next(&mut self) {
        loop {
            // Heard from here on, so that nothing can come between the look and the wait.
            let changed = self.told.changed.notified();
            let count = self.told.count.load(Acquire);
            if count != self.heard {
                self.heard = count;
                return;
            }
            changed.await;
        }
    }

    /// What was told so far is of no interest.
    pub(crate) fn forget(&mut self) {
        self.heard = self.told.count.load(Acquire);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_nudge_is_heard_once_and_by_all_who_listened() {
        let nudge = Nudge::default();
        let (mut one, mut other) = (nudge.listen(), nudge.listen());
        assert_eq!(one.next().now_or_never(), None);
        nudge.nudge();
        nudge.nudge();
        let mut late = nudge.listen();
        assert_eq!(one.next().now_or_never(), Some(()));
        assert_eq!([one.next().now_or_never(), late.next().now_or_never()], [None, None]);
        other.forget();
        assert_eq!(other.next().now_or_never(), None);
    }
}
