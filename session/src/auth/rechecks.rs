use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

/// How many may wait for the next look before others wait to wait. Memory, no limit: the lobby has one.
const QUEUE: usize = 64;

/// Where those wait who were not found right, until the source of the credentials was looked at once more: what they know may
/// have been written there a moment ago.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<Option<mpsc::Sender<Waiting>>>);

type Waiting = oneshot::Sender<()>;

/// Requests to look at the source of the credentials at once, for the one who follows it.
#[derive(Debug)]
pub struct Rechecks(mpsc::Receiver<Waiting>);

/// Those who wait for one look. They go on when this is dropped.
#[derive(Debug)]
#[must_use = "they go on when this is dropped"]
pub struct Recheck(#[expect(dead_code, reason = "what counts is when it is dropped")] Vec<Waiting>);

impl Doubts {
    pub(super) fn follow(&self) -> Rechecks {
        let (sender, receiver) = mpsc::channel(QUEUE);
        *self.lock() = Some(sender);
        Rechecks(receiver)
    }

    /// Completes when a look that began after this call is over; at once, if nobody looks.
    pub(super) async fn settle(&self) {
        let Some(sender) = self.lock().clone() else { return };
        let (waiting, looked) = oneshot::channel();
        if sender.send(waiting).await.is_ok() {
            let _ = looked.await; // dropped is done
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<mpsc::Sender<Waiting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rechecks {
    /// Completes when somebody waits for a look, with all who do.
    ///
    /// # Cancel safety
    /// Safe: nobody is forgotten.
    pub async fn next(&mut self) -> Recheck {
        // The other end lives as long as the authenticator, after which nobody waits.
        let Some(first) = self.0.recv().await else { return std::future::pending().await };
        let others = std::iter::from_fn(|| self.0.try_recv().ok());
        Recheck(std::iter::once(first).chain(others).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::{JoinSet, yield_now};

    use super::*;

    async fn wait(doubts: &Arc<Doubts>, count: usize) -> JoinSet<()> {
        let mut waiting = JoinSet::new();
        for _ in 0..count {
            let doubts = Arc::clone(doubts);
            waiting.spawn(async move { doubts.settle().await });
        }
        yield_now().await;
        waiting
    }

    #[tokio::test]
    async fn one_look_serves_all_who_waited_when_it_began_and_nobody_else() {
        let doubts = Arc::new(Doubts::default());
        doubts.settle().await; // nobody looks
        let mut rechecks = doubts.follow();
        let before = wait(&doubts, 8).await;
        let look = rechecks.next().await;
        let mut later = wait(&doubts, 1).await;
        assert!(later.try_join_next().is_none());
        drop(look);
        before.join_all().await;
        assert!(later.try_join_next().is_none(), "what it waits for may have been written during the look");
        drop(rechecks.next().await);
        later.join_all().await;
        drop(rechecks);
        doubts.settle().await; // nobody looks any more
    }
}
