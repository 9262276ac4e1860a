//! What the tunnel costs, measured from outside: every part runs in a process of its own, as a user would run it.
//!
//! - [`Tunnel`]: a gateway and an agent per transport, in child processes made of this same program.
//! - [`Part`]: what such a child plays.
//! - [`Child`]: a process that is watched, whose CPU time is read, and that ends when it is dropped.
//! - [`Upstream`]: the service behind the tunnel.
//! - [`load`]: HTTP/1.1 clients that cost little themselves.
//! - [`Results`]: figures by case, contender and round; [`Table`] and [`Plot`] show them.
//! - [`transports`]: the comparison of gRPC and WebSocket.
//! - [`micro`]: single operations, in time and in instructions.
//! - [`costs`], [`distance`], [`scale`]: the real programs looked at closely, far apart, and in large numbers.
//! - [`herd`]: many agents that rest, and that all come back at once.
//! - [`peers`]: the comparison of the real programs with others of their kind; [`proxy`] is one of those.
//!
//! Invariant: what is compared takes turns within one run; nothing is compared with another run's figures.

mod allocations;
mod child;
pub mod costs;
mod cpu;
mod curves;
pub mod distance;
mod figures;
pub mod herd;
pub mod load;
pub mod micro;
mod part;
mod path;
pub mod peers;
mod process;
pub mod proxy;
mod real;
mod results;
pub mod scale;
pub mod stats;
mod suite;
mod svg;
mod table;
pub mod transports;
mod tunnel;
mod upstream;

pub use child::{Child, ChildError, Ending};
pub use cpu::cpu_time;
pub use part::{Part, played};
pub use results::{Case, Metric, Results, Series};
pub use svg::{Bar, Plot, Row, Section};
pub use table::{Column, Table};
pub use tunnel::{Role, Tunnel, TunnelCpu};
pub use upstream::Upstream;
