use std::{
    fmt::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

/// What happened, in order: as a number that any difference changes, as text if somebody wants to read it, and what of it
/// must not have happened.
#[derive(Debug)]
pub(crate) struct Trace {
    begun: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    hash: Fnv,
    events: u64,
    lines: Option<Vec<String>>,
    violations: Vec<String>,
}

/// FNV-1a.
#[derive(Debug)]
struct Fnv(u64);

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

impl Trace {
    pub(crate) fn new(readable: bool) -> Self {
        let kept = Kept {
            hash: Fnv(0xcbf2_9ce4_8422_2325),
            events: 0,
            lines: readable.then(Vec::new),
            violations: Vec::new(),
        };
        Self { begun: Instant::now(), kept: Mutex::new(kept) }
    }

    /// Something happened.
    pub(crate) fn note(&self, what: fmt::Arguments<'_>) {
        let at = self.begun.elapsed().as_millis();
        let mut kept = self.kept();
        let _ = writeln!(kept.hash, "{at} {what}"); // hashing cannot fail
        kept.events += 1;
        if let Some(lines) = &mut kept.lines {
            lines.push(format!("{:>4}.{:03} {what}", at / 1000, at % 1000));
        }
    }

    /// Something happened that must not.
    pub(crate) fn violation(&self, what: fmt::Arguments<'_>) {
        self.note(format_args!("VIOLATION {what}"));
        let at = self.begun.elapsed().as_secs_f64();
        self.kept().violations.push(format!("at {at:.3} s: {what}"));
    }

    /// Hash of all, how many events, what must not have happened, and the text if there is one.
    pub(crate) fn take(&self) -> (u64, u64, Vec<String>, Vec<String>) {
        let mut kept = self.kept();
        let violations = std::mem::take(&mut kept.violations);
        (kept.hash.0, kept.events, violations, kept.lines.take().unwrap_or_default())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
