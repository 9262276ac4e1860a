use std::sync::Arc;

use crate::sync::atomic::{AtomicU64, Ordering};

use proto::limits;

/// Memory for bodies, shared by every link of a process. Cheap to clone.
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

/// What one exchange holds of the budget, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Without which it cannot be.
    base: u32,
    /// Credit beyond that, granted while there is room.
    extra: u32,
}

/// The part of one link, within the budget of the process. Gives everything back when it is dropped.
#[derive(Debug)]
pub(crate) struct LinkBudget {
    process: Budget,
    base: u64,
    extra: u64,
}

impl LinkBudget {
    pub(crate) fn new(process: Budget) -> Self {
        Self { process, base: 0, extra: 0 }
    }

    /// What an exchange needs at least: the credit that its peer has from the first frame on, and room for what waits for
    /// the link if a body is sent from here.
    pub(crate) fn base(window: u32, sends_body: bool) -> u32 {
        window + if sends_body { limits::SEND_QUEUE as u32 } else { 0 }
    }

    /// Reserves what an exchange needs at least, and `extra` if there is room for it as well. `None` if there is no room.
    pub(crate) fn admit(&mut self, base: u32, extra: u32) -> Option<Held> {
        if self.base + u64::from(base) > limits::SESSION_MEMORY {
            return None;
        }
        let extra_fits = self.extra + u64::from(extra) <= limits::SESSION_BUDGET;
        let held = if extra_fits && self.process.reserve(u64::from(base) + u64::from(extra)) {
            Held { base, extra }
        } else if self.process.reserve(base.into()) {
            Held { base, extra: 0 }
        } else {
            return None;
        };
        self.base += u64::from(held.base);
        self.extra += u64::from(held.extra);
        Some(held)
    }

    /// Reserves `bytes` of credit more, all or nothing.
    pub(crate) fn grow(&mut self, held: &mut Held, bytes: u32) -> bool {
        let grown = self.extra + u64::from(bytes);
        let granted = grown <= limits::SESSION_BUDGET && self.process.reserve(bytes.into());
        if granted {
            self.extra = grown;
            held.extra += bytes;
        }
        granted
    }

    pub(crate) fn release(&mut self, held: Held) {
        let Held { base, extra } = held;
        debug_assert!(
            u64::from(base) <= self.base && u64::from(extra) <= self.extra,
            "more released than reserved"
        );
        self.base -= u64::from(base);
        self.extra -= u64::from(extra);
        self.process.release(u64::from(base) + u64::from(extra));
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> u64 {
        self.base + self.extra
    }
}

impl Held {
    /// Credit beyond what every exchange has.
    pub(crate) fn extra(self) -> u32 {
        self.extra
    }
}

impl Drop for LinkBudget {
    fn drop(&mut self) {
        self.process.release(self.base + self.extra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_goes_before_what_is_welcome() {
        let process = Budget::new(100);
        let (mut one, mut two) = (LinkBudget::new(process.clone()), LinkBudget::new(process.clone()));
        let held = one.admit(40, 20).unwrap();
        assert_eq!(held, Held { base: 40, extra: 20 });
        let lean = two.admit(30, 20).unwrap();
        assert_eq!(lean, Held { base: 30, extra: 0 }, "no room for more");
        assert_eq!(two.admit(11, 0), None, "over the process's memory");
        let mut grown = lean;
        assert!(two.grow(&mut grown, 10));
        assert!(!two.grow(&mut grown, 1));
        two.release(grown);
        one.release(held);
        assert_eq!(process.left(), 100);
    }

    #[test]
    fn a_link_is_held_to_its_own_limits() {
        let process = Budget::new(u64::MAX / 2);
        let mut link = LinkBudget::new(process.clone());
        let big = 64 * 1024 * 1024;
        let all: Vec<Option<Held>> = (0..5).map(|_| link.admit(big, big)).collect();
        assert_eq!(all[0], Some(Held { base: big, extra: big }));
        assert_eq!(all[1], Some(Held { base: big, extra: 0 }), "over the credit of one link");
        assert_eq!(all[4], None, "over the memory of one link");
        drop(link);
        assert_eq!(process.left(), u64::MAX / 2);
    }
}
