use std::sync::Arc;

use crate::sync::atomic::{AtomicU64, Ordering};

/// Credit that may be granted beyond the guaranteed part, shared by every link of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Budget {
    left: Arc<AtomicU64>,
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        Self { left: Arc::new(AtomicU64::new(bytes)) }
    }

    /// Bytes that are not reserved.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    fn reserve(&self, bytes: u64) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    fn release(&self, bytes: u64) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The part of one link, within the budget of the process. Gives everything back when it is dropped.
#[derive(Debug)]
pub(crate) struct LinkBudget {
    process: Budget,
    limit: u64,
    used: u64,
}

impl LinkBudget {
    pub(crate) fn new(process: Budget, limit: u64) -> Self {
        Self { process, limit, used: 0 }
    }

    /// Reserves `bytes`, all or nothing.
    pub(crate) fn reserve(&mut self, bytes: u32) -> bool {
        let bytes = u64::from(bytes);
        let granted = self.used + bytes <= self.limit && self.process.reserve(bytes);
        if granted {
            self.used += bytes;
        }
        granted
    }

    pub(crate) fn release(&mut self, bytes: u32) {
        let bytes = u64::from(bytes);
        debug_assert!(bytes <= self.used, "more credit released than reserved");
        self.used -= bytes;
        self.process.release(bytes);
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> u64 {
        self.used
    }
}

impl Drop for LinkBudget {
    fn drop(&mut self) {
        self.process.release(self.used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_held_to_its_own_and_the_process_limit() {
        let process = Budget::new(100);
        let mut one = LinkBudget::new(process.clone(), 60);
        let mut two = LinkBudget::new(process.clone(), 60);
        assert!(one.reserve(60));
        assert!(!one.reserve(1), "over its own limit");
        assert!(!two.reserve(41), "over the process's");
        assert!(two.reserve(40));
        two.release(10);
        assert_eq!(process.left(), 10);
        drop((one, two));
        assert_eq!(process.left(), 100);
    }
}
