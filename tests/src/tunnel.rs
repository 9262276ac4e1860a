use std::net::SocketAddr;

use ::agent::Transport;
use ::gateway::{EdgeConfig, Limits};

use crate::{AGENT, Agent, Gateway, Message, Request, Wire};

/// A gateway, and an agent called [`AGENT`] that is online.
#[derive(Debug)]
pub struct Tunnel {
    /// One end.
    pub gateway: Gateway,
    /// The other end.
    pub agent: Agent,
}

impl Tunnel {
    /// A tunnel to `upstream`.
    pub async fn start(transport: Transport, upstream: SocketAddr) -> Self {
        Self::start_with(transport, upstream, |_limits| {}).await
    }

    /// A tunnel to `upstream` whose gateway has limits of the scenario's choice.
    pub async fn start_with(
        transport: Transport,
        upstream: SocketAddr,
        adjust: impl FnOnce(&mut Limits),
    ) -> Self {
        let gateway = Gateway::start_with(adjust).await;
        let mut agent = Agent::start(transport, gateway.port(transport), AGENT, upstream);
        agent.online().await;
        Self { gateway, agent }
    }

    /// A tunnel to `upstream` whose gateway asks something of clients, see [`crate::edge`].
    pub async fn start_with_edge(transport: Transport, upstream: SocketAddr, edge: EdgeConfig) -> Self {
        let gateway = Gateway::start_with_edge(edge).await;
        let mut agent = Agent::start(transport, gateway.port(transport), AGENT, upstream);
        agent.online().await;
        Self { gateway, agent }
    }

    /// A new client connection.
    pub async fn client(&self) -> Wire {
        self.gateway.client().await
    }

    /// Makes one request on a connection of its own.
    pub async fn ask(&self, request: &Request) -> Message {
        self.client().await.ask(request).await
    }
}
