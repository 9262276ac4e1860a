//! Who watches an agent: a person at a [`terminal`], or a log with the public URLs on stdout ([`plain`]).
//!
//! Invariant: nothing that came from outside reaches a terminal or stdout with its control characters.

mod palette;
mod plain;
mod screen;
mod terminal;
mod text;

pub use plain::plain;
pub use terminal::{Terminal, terminal};
