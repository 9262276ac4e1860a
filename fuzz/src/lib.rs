//! Fuzz targets: what no bytes may do to the tunnel. A target is a function of bytes that panics when a rule is broken.
//!
//! - [`TARGETS`]: all of them, by name.
//! - [`Campaign`]: a target under inputs of a corpus and seeded mutations of them, on any toolchain.
//! - [`Corpus`]: the inputs that are kept, one file each.
//!
//! The same functions run under libFuzzer, which sees the branches they take, in `fuzz/libfuzzer`.
//!
//! Invariant: a target is a function of its bytes alone, so that an input which fails once fails again.

#![allow(clippy::unwrap_used, reason = "a panic is how a target says that a rule is broken")]

mod campaign;
mod corpus;
mod input;
mod mutator;
mod random;
mod targets;

pub use campaign::{Campaign, Crash};
pub use corpus::Corpus;
pub use mutator::Mutator;
pub use targets::{TARGETS, Target};
