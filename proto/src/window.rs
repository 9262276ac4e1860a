//! The arithmetic of credit: how many body bytes one side of an exchange may still send.
//!
//! ```text
//! sender    [SendCredit]  avail ---take---> on the wire ---> [RecvWindow] ---> queue ---consumed---> owed
//!              ^                                                                                      |
//!              +------------------------------- TunnelWindow(credit) <--------------------------------+
//! ```
//! At the receiver `credit + queued + owed == size` holds at every step.

use std::time::{Duration, Instant};

use crate::limits;

/// The sender's side.
#[derive(Clone, Debug)]
pub struct SendCredit {
    available: u64,
}

/// More credit was granted than can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer granted more credit than an exchange can hold")]
pub struct CreditOverflow;

impl SendCredit {
    /// Most credit that a peer may have outstanding with us, in bytes (as RFC 9113, section 6.9.1).
    pub const MAX: u64 = (1 << 31) - 1;

    /// Starts with `initial` bytes.
    pub fn new(initial: u32) -> Self {
        Self { available: u64::from(initial).min(Self::MAX) }
    }

    /// Bytes that may be sent now.
    pub fn available(&self) -> usize {
        usize::try_from(self.available).unwrap_or(usize::MAX)
    }

    /// Spends up to `wanted` bytes and says how many.
    pub fn take(&mut self, wanted: usize) -> usize {
        let taken = self.available().min(wanted);
        self.available -= taken as u64;
        taken
    }

    /// The peer granted `bytes` more.
    ///
    /// # Errors
    /// [`CreditOverflow`] past [`SendCredit::MAX`]; nothing is added then.
    pub fn grant(&mut self, bytes: u32) -> Result<(), CreditOverflow> {
        let sum = self.available + u64::from(bytes);
        if sum > Self::MAX {
            return Err(CreditOverflow);
        }
        self.available = sum;
        Ok(())
    }
}

/// The receiver's side: what was granted, what is owed, and when to double it.
#[derive(Clone, Debug)]
pub struct RecvWindow {
    size: u32,
    credit: u32,
    owed: u32,
    epoch: Option<Epoch>,
}

/// Consumption since a moment, to tell whether the window holds the sender back.
#[derive(Clone, Debug)]
struct Epoch {
    start: Instant,
    consumed: u64,
}

/// The peer sent more than it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer sent more than its credit")]
pub struct CreditOverrun;

impl RecvWindow {
    /// Starts with `size` bytes granted.
    pub fn new(size: u32) -> Self {
        Self { size, credit: size, owed: 0, epoch: None }
    }

    /// Bytes that may be granted, queued or owed at one time.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// `bytes` arrived.
    ///
    /// # Errors
    /// [`CreditOverrun`] if that is more than was granted; nothing is counted then.
    pub fn on_received(&mut self, bytes: usize) -> Result<(), CreditOverrun> {
        let bytes = u32::try_from(bytes).map_err(|_| CreditOverrun)?;
        self.credit = self.credit.checked_sub(bytes).ok_or(CreditOverrun)?;
        Ok(())
    }

    /// Widens the window by `extra` bytes, which the caller grants the peer along with a frame of its own.
    pub fn widen(&mut self, extra: u32) {
        self.size += extra;
        self.credit += extra;
    }

    /// The consumer took `bytes` out of the queue. Returns the credit to grant now, if it is worth a frame.
    pub fn on_consumed(&mut self, bytes: usize) -> Option<u32> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.owed = self.owed.saturating_add(bytes).min(self.size - self.credit);
        (self.owed >= self.threshold()).then(|| {
            let grant = std::mem::take(&mut self.owed);
            self.credit += grant;
            grant
        })
    }

    /// By how many bytes the window should grow, now that the consumer took `bytes`: it doubles when more than a
    /// window was consumed within two round trips, for then the window and not the consumer is the limit.
    pub fn wanted_growth(&mut self, bytes: usize, now: Instant, min_rtt: Option<Duration>) -> Option<u32> {
        let span = min_rtt? * 2;
        let epoch = self.epoch.get_or_insert(Epoch { start: now, consumed: 0 });
        epoch.consumed += bytes as u64;
        let in_time = now.saturating_duration_since(epoch.start) <= span;
        let exceeded = epoch.consumed > u64::from(self.size);
        if !in_time || exceeded {
            self.epoch = None;
        }
        (in_time && exceeded && self.size < limits::MAX_WINDOW)
            .then(|| self.size.min(limits::MAX_WINDOW - self.size))
    }

    /// Owed credit is saved up to a quarter window, so that a grant is worth its frame.
    fn threshold(&self) -> u32 {
        (self.size / 4).clamp(16 * 1024, 1024 * 1024).min(self.size)
    }
}

#[cfg(test)]
mod tests;
