//! Who watches an agent: a person at a [`terminal`], or a log with the public URLs on stdout ([`plain`]).
//! Whoever asks how agents are gets a [`table()`].
//!
//! Invariant: nothing that came from outside reaches a terminal or stdout with its control characters.

mod palette;
mod plain;
mod screen;
mod table;
mod terminal;
mod text;

pub use plain::plain;
pub use table::table;
pub use terminal::{Terminal, terminal};
