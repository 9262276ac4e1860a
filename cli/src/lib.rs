//! What both command lines share, so that `gateway-tunnel` and `agent-tunnel` feel like one program.
//!
//! - [`run`], [`Failure`] and [`Exit`]: from arguments to an exit code, with errors printed in one place.
//! - [`block_on`]: on which threads a program runs.
//! - [`Layers`] and [`Layer`]: one struct of settings filled from flags, the environment and a TOML file.
//! - [`discreet`]: secrets that stand where they should not, and are not repeated.
//! - [`operators`]: how operators are answered over HTTP.
//! - [`log`]: what is logged, in which format, and what never is.
//! - [`audit`]: a file for what must not be lost among other lines.
//! - [`signals`]: SIGTERM and SIGINT as a [`Shutdown`].
//! - [`provider`]: what does the mathematics of TLS; [`pem`]: its certificates and keys in files; [`der`]: how to look into them.
//! - [`Fingerprint`]: whether a file has changed.
//! - [`in_words`]: what is wrong with a certificate, for people.
//! - [`Completions`] and [`Manual`]: the commands that every program has.
//!
//! Invariant: nothing here prints the content of a file or the value of a variable that may hold a secret.

pub mod audit;
mod crypto;
pub mod der;
pub mod discreet;
mod exit;
mod file;
mod fingerprint;
mod layer;
pub mod log;
mod manual;
mod memory;
pub mod operators;
pub mod output;
pub mod pem;
mod program;
mod runtime;
pub mod signals;
mod span;
mod words;

pub use crypto::provider;
pub use exit::{Exit, Failure};
pub use file::{FileError, Layers, Resolved};
pub use fingerprint::Fingerprint;
pub use layer::{Layer, one_or_many};
pub use manual::{Completions, Manual};
pub use program::run;
pub use runtime::block_on;
pub use signals::Shutdown;
pub use span::{InvalidSpan, Span};
pub use words::in_words;
