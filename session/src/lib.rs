//! The gateway's side of a link, whatever transport carries it.
//!
//! - [`Acceptor`]: the seam. A transport gives it the stream of frames it reads and gets the stream it shall write.
//! - [`Authenticator`]: the only maker of [`Authenticated`], from [`Credentials`] that can be exchanged at any time.
//! - [`Channel`]: what is known of the connection below a link, where TLS ends here.
//! - [`Lobby`]: where connections wait that no agent was accepted on yet, so many and so long.
//! - [`Registry`]: agent id to live sessions; a late goodbye cannot remove its heir.
//! - [`Session`]: one agent's link; [`Session::call`] opens an exchange on it.
//! - [`ResponseHead`]: what comes back first.
//!
//! Invariant: a transport does no authentication, no look-up, no time-out and no heartbeat; nothing here knows which
//! transport it is but for a label.

mod acceptor;
mod auth;
mod channel;
mod credentials;
mod head;
mod lobby;
mod metrics;
mod reader;
mod registry;
mod session;
mod sweeper;

pub use acceptor::{Acceptor, LinkInfo, PublicUrls, Terms};
pub use auth::{Authenticated, Authenticator, Rejection};
pub use channel::Channel;
pub use credentials::{AgentIdPattern, Credentials, Grant};
pub use head::ResponseHead;
pub use lobby::{Lobby, LobbyLimits, Visitor};
pub use metrics::Metrics;
pub use registry::{Registration, Registry};
pub use session::{Exchange, GatewayLink, NotSent, Outbound, Session, Upload};
