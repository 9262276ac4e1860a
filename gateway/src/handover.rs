//! How a process takes over from an older one on the same ports.
//!
//! The older one, the predecessor, listens at a rendezvous; the newer one, its heir, comes there:
//!
//! ```text
//! heir         TAKE                              YIELD              READY
//! predecessor        SOCKETS, with the sockets         AGENTS, n          GONE
//! ```
//!
//! Both have the same sockets from `SOCKETS` on. So a connection waits in one queue, from which either takes it, and no
//! socket that somebody waits at is closed before the last process ends. At `YIELD` the agents' ports change hands, and the
//! predecessor asks its agents to make their next links; it keeps those it has, for the clients that it still serves. At
//! `READY` the clients' port does, and with `GONE` the rendezvous. If the heir goes before the predecessor does, that one
//! takes everything back. An older process that is not asked any more waits with `WATCH` for the one that has the
//! rendezvous to go.

mod elder;
mod heir;
mod wire;

pub(crate) use elder::Elder;
pub(crate) use heir::Predecessor;
pub(crate) use wire::Name;
