//! Connections to the local service, and those that wait for a request.
//!
//! ```text
//!              .--take---> idle --closed, chatty, old--> dropped
//! an exchange -+             ^
//!              '--dial--> Connection --put, once request and response are whole--'
//! ```
//! Invariant: a connection is owned by the pool or by one exchange, and whoever drops it closes its socket. No task
//! drives one: the exchange that owns it reads and writes.

mod connection;
mod dial;
mod error;
mod pool;

pub(crate) use connection::Connection;
pub(crate) use error::UpstreamError;
pub(crate) use pool::Pool;
