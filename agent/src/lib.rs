//! The agent: dials a gateway and serves its requests from a local HTTP service.

mod config;
mod event;

pub use config::{Config, GatewayUrl, Transport, Upstream};
pub use event::{Event, Observer};
