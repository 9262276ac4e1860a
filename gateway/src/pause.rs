use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How the connections of a port are asked to end: first with the answer that is in progress, or the next one; later also
/// while they rest. What rests cannot be told, and may be about to ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pause {
    answered: CancellationToken,
    resting: CancellationToken,
}

impl Pause {
    /// From now on every answer is a connection's last.
    pub(crate) fn after_answers(&self) {
        self.answered.cancel();
    }

    /// From now on no connection rests, nor those of the pauses before and after this one.
    pub(crate) fn at_rest(&self) {
        self.resting.cancel();
    }

    /// For connections that are not concerned by what those before them were asked.
    pub(crate) fn next(&self) -> Self {
        Self { answered: CancellationToken::new(), resting: self.resting.clone() }
    }

    /// Whether an answer is a connection's last.
    pub(crate) fn is_after_answers(&self) -> bool {
        self.answered.is_cancelled()
    }

    /// Cancelled when every answer is the last.
    pub(crate) fn answered(&self) -> CancellationToken {
        self.answered.clone()
    }

    /// Completes when a connection may not rest any longer.
    pub(crate) fn until_rest(&self) -> WaitForCancellationFutureOwned {
        self.resting.clone().cancelled_owned()
    }
}

/// The pause that holds for new connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses(Arc<Mutex<Pause>>);

impl Pauses {
    /// The pause of this moment.
    pub(crate) fn current(&self) -> Pause {
        self.lock().clone()
    }

    /// Has the connections of this moment end with the answer that is in progress or the next one. Later ones are not
    /// concerned.
    pub(crate) fn move_on(&self) {
        let mut pause = self.lock();
        let next = pause.next();
        std::mem::replace(&mut *pause, next).after_answers();
    }

    fn lock(&self) -> MutexGuard<'_, Pause> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
