//! The WebSocket transport of an indraNet link (RFC 6455): for agents behind proxies that let nothing else through.
//!
//! - `server::Bridge` (feature `server`): answers upgrade requests and gives each link to the gateway's acceptor.
//! - `client::open` (feature `client`): the agent's end.
//!
//! Both ends speak the sub-protocol [`SUBPROTOCOL`]: binary messages, each one or more length-delimited frames. All
//! frames that are ready leave in one message and one flush; that is what makes this transport as cheap as the other.
//!
//! Invariant: nothing here authenticates, looks up, times a request or beats a heart. It moves frames.

mod config;
mod duplex;
mod header;
mod read;
mod write;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
mod close;
#[cfg(feature = "echo")]
pub mod echo;
#[cfg(feature = "server")]
mod fragments;
#[cfg(all(feature = "client", feature = "server"))]
#[doc(hidden)]
pub mod memory;
#[cfg(feature = "server")]
pub mod server;

/// The WebSocket sub-protocol that both ends must name.
pub const SUBPROTOCOL: &str = "indranet.tunnel.v1";
