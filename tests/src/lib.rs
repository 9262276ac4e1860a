//! The harness of the end-to-end scenarios: a whole tunnel inside one process, and hand-made peers on every side of it.
//!
//! - [`Tunnel`]: a gateway and an agent that is online. [`Gateway`] and [`Agent`] are its parts, for scenarios about
//!   their lives.
//! - [`Service`]: a local service written as a function. [`Upstream`]: one played by the scenario itself, byte by byte.
//! - [`Wire`]: HTTP/1.1 by hand, for clients and upstreams alike, which sees how a connection ended.
//! - [`H2`]: a client that speaks HTTP/2.
//! - [`h2`]: HTTP/2 by hand, for clients that attack.
//! - [`Rogue`]: an agent at the level of frames, which does as it is told.
//! - [`Relay`]: a way to the gateway that can fall silent.
//! - [`Pki`]: an authority and its certificates. [`Opener`]: somebody in between who ends TLS.
//! - [`Authority`]: one that gives certificates by ACME.
//! - [`over_every_transport!`]: makes the tests of a scenario, one for each transport.
//!
//! Invariant: nothing sleeps to let something happen. A scenario waits for what it is about, and [`within`] bounds the
//! wait.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]

mod agent;
mod authority;
mod credentials;
mod edge;
mod gateway;
mod h2_client;
mod metrics;
mod noise;
mod opener;
mod patience;
mod pki;
mod relay;
mod rogue;
mod service;
mod transports;
mod tunnel;
mod upstream;
mod wire;

pub use self::{
    agent::Agent,
    authority::{Authority, Life},
    credentials::{
        AGENT, OFFLINE_AGENT, OTHER_AGENT, WRONG_SECRET, agent_id, credential, grant, introduction, signed,
    },
    edge::{edge, edge_of},
    gateway::{DOMAIN, Gateway},
    h2_client::H2,
    metrics::Metrics,
    noise::noise,
    opener::{Onward, Opener},
    patience::{PATIENCE, eventually, within},
    pki::{H1_ONLY, H2_ONLY, Issued, Pki, Secure},
    relay::Relay,
    rogue::{Farewell, Goodbye, Rogue, farewell, frames},
    service::{Service, ServiceBody},
    tunnel::Tunnel,
    upstream::Upstream,
    wire::{Chunk, Fields, Head, Message, Reader, Request, Truncated, Wire, Writer, h2},
};
pub use ::agent::Transport;
