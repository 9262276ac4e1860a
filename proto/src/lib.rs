//! What the two ends of an indraNet link must agree on, byte for byte.
//!
//! - [`AgentFrame`] and [`GatewayFrame`]: everything that travels on a link, generated from
//!   `indranet/tunnel/v1/tunnel.proto`.
//! - [`AgentId`], [`Credential`] and [`auth`]: who an agent is and how it proves it.
//! - [`Fields`] and [`headers`]: HTTP fields in order, and which of them travel.
//! - [`window`]: the arithmetic of credit.
//! - [`codec`]: how frames stand in a row of bytes, on either transport.
//! - [`limits`]: every bound that both ends and every transport share.
//!
//! Invariant: nothing here does I/O, reads a clock or draws randomness. Policy (which tokens exist, how much clock
//! skew is tolerated) is not agreement and lives with the gateway.

mod agent_id;
pub mod auth;
pub mod codec;
mod credential;
pub mod fields;
mod frame;
pub mod headers;
pub mod limits;
mod version;
pub mod window;
mod wire;

pub use agent_id::{AgentId, InvalidAgentId};
pub use credential::{Credential, InvalidCredential, Secret, TokenId};
pub use fields::Fields;
pub use frame::{Frame, InvalidId, id_text, parse_id};
pub use wire::*;

/// The path of the one method of gRPC that carries a link.
pub const ATTACH_PATH: &str = "/indranet.tunnel.v1.Tunnel/Attach";

/// The field in which the gateway says that an answer is its own, and which error it is. It answers clients with it, never
/// agents.
pub const ERROR_FIELD: &str = "indranet-error";
