//! The gateway's side of a link, whatever transport carries it.
//!
//! - [`Acceptor`]: the seam. A transport gives it the stream of frames it reads and gets the stream it shall write.
//! - [`Authenticator`]: the only maker of [`Authenticated`], from [`Credentials`] that can be exchanged at any time.
//! - [`Channel`]: what is known of the connection below a link, where TLS ends here.
//! - [`Lobby`]: where connections wait that no agent was accepted on yet, so many and so long.
//! - [`Registry`]: agent id to live sessions; a late goodbye cannot remove its heir.
//! - [`Dispatcher`]: finds a session for a request, waits for one that was just lost, and sends a request again where that
//!   is safe.
//! - [`Session`]: one agent's link; [`Session::call`] opens an exchange on it.
//! - [`ResponseHead`]: what comes back first.
//!
//! Invariant: a transport does no authentication, no look-up, no time-out and no heartbeat; nothing here knows which
//! transport it is but for a label.

mod acceptor;
mod audit;
mod auth;
mod channel;
mod credentials;
mod detached;
mod dispatch;
mod head;
mod herd;
mod lobby;
mod metrics;
#[cfg(all(test, feature = "shuttle"))]
mod models;
mod rate;
mod reader;
mod registry;
mod seats;
mod session;
mod sweeper;
mod sync;
mod terms;

pub use acceptor::Acceptor;
pub use audit::TARGET as AUDIT;
pub use auth::{Authenticated, Authenticator, Recheck, Rechecks, Rejection, ServerTime};
pub use channel::Channel;
pub use credentials::{AgentIdPattern, Credentials, Grant, Previous, Withdrawn};
pub use dispatch::{Attempt, Cause, Dispatcher, OpenedExchange, Unavailable};
pub use head::ResponseHead;
pub use lobby::{Lobby, LobbyLimits, Visitor};
pub use metrics::Metrics;
pub use rate::{InvalidRate, Limiter, Rate, client_key};
pub use registry::{Choice, InUse, Instances, InvalidInstances, Registration, Registry};
pub use session::{Exchange, GatewayLink, NotSent, Outbound, Session, Upload};
pub use terms::{AgentRules, LinkInfo, Terms};
