//! Connections to the local service, and those that wait for a request.
//!
//! ```text
//!              .--take---> idle --closed, chatty, old--> dropped
//! an exchange -+             ^
//!              '--dial--> Connection --put, once request and response are whole--'
//! ```
//! Invariant: a connection that speaks HTTP/1.1 is owned by the pool or by one exchange, and whoever drops it closes its
//! socket. No task drives one: the exchange that owns it reads and writes. Connections that speak HTTP/2 are shared, and
//! each has a task.

mod connection;
mod dial;
mod error;
pub(crate) mod http2;
mod pool;
mod service;
mod stream;
mod tls;

pub(crate) use connection::Connection;
pub(crate) use dial::{Offer, dial};
pub(crate) use error::UpstreamError;
pub(crate) use http2::Leased;
pub(crate) use pool::Pool;
pub(crate) use service::Service;
pub use tls::UpstreamTls;
