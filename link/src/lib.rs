//! What both ends of a link run, whatever carries its frames.
//!
//! - [`InFlight`]: the exchanges of one link as state machines, with their credit, their queues and the order in which
//!   their frames leave. Synchronous and deterministic: frames and times go in, frames and wake-ups come out.
//! - [`Link`]: the same table behind one lock, with async faces: [`Sender`] and [`Receiver`] for the two halves of an
//!   exchange, [`Outbound`] for the transport that carries the frames away.
//! - [`Lifecycle`]: the states of a link, as logs, metrics and people see them.
//! - [`Heartbeat`] and [`Silence`]: when to ping and when to give a peer up.
//! - [`Beginning`]: what of a body can travel inside its head.
//! - [`writes_go_to`]: half of a byte stream that wraps another, which knows none of the above.
//! - [`LinkError`], [`CloseReason`], [`Abort`]: why a transport, a link, an exchange ended.
//!
//! Invariant: whoever reads frames off a link never waits for a consumer. Credit bounds every queue, so a frame is
//! queued, or it breaks the protocol and costs its sender that one exchange.

mod beginning;
mod budget;
mod chunks;
mod clock;
mod end;
mod exchange;
mod handles;
mod heartbeat;
mod id_hasher;
mod inflight;
mod lanes;
mod lifecycle;
#[cfg(all(test, feature = "shuttle"))]
mod models;
mod outbound;
mod rtt;
mod strikes;
mod sync;
mod trust;
mod wrapped;

pub use beginning::{Beginning, Ending};
pub use budget::Budget;
pub use clock::now;
pub use end::{Abort, CloseReason, LinkError};
pub use handles::{Link, Opened, Receiver, Sender, TakenUp};
pub use heartbeat::{Beat, Heartbeat, Silence};
pub use inflight::{InFlight, OpenError, Opening, ReaderGone, Settings};
pub use lifecycle::{IllegalEvent, LifeEvent, Lifecycle, LinkState};
pub use outbound::Outbound;
pub use strikes::TooManyViolations;
pub use trust::Doubt;
