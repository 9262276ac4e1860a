use std::{fmt, io, str::FromStr};

use stats_alloc::INSTRUMENTED_SYSTEM;

/// How often a process has asked for memory, and for how much. Nothing is counted in a program whose allocator is not
/// `stats_alloc`'s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allocations {
    /// New pieces, and pieces that became larger or smaller.
    pub(crate) count: u64,
    /// In all.
    pub(crate) bytes: u64,
}

impl Allocations {
    /// Those of this process.
    pub(crate) fn so_far() -> Self {
        let stats = INSTRUMENTED_SYSTEM.stats();
        let count = stats.allocations + stats.reallocations;
        Self { count: count as u64, bytes: stats.bytes_allocated as u64 }
    }

    /// Those after `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { count: self.count - earlier.count, bytes: self.bytes - earlier.bytes }
    }
}

/// The line that a process says them with.
impl fmt::Display for Allocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.count, self.bytes)
    }
}

impl FromStr for Allocations {
    type Err = io::Error;

    fn from_str(line: &str) -> Result<Self, Self::Err> {
        let numbers = line
            .split_once(' ')
            .and_then(|(count, bytes)| Some(Self { count: count.parse().ok()?, bytes: bytes.parse().ok()? }));
        numbers
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no allocations but `{line}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_survive_their_line() {
        let allocations = Allocations { count: 7, bytes: 4096 };
        assert_eq!(allocations.to_string().parse::<Allocations>().unwrap(), allocations);
        assert!("http://somewhere".parse::<Allocations>().is_err());
    }

    #[test]
    fn what_came_before_is_left_out() {
        let [before, after] = [(5, 100), (7, 164)].map(|(count, bytes)| Allocations { count, bytes });
        assert_eq!(after.since(before), Allocations { count: 2, bytes: 64 });
    }
}
