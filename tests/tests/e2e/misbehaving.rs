//! Agents that break the rules. Whatever they do, their own exchange pays for it, then their own session, and nobody
//! else.

use std::time::Duration;

use bytes::Bytes;
use proto::{AgentFrame, Header, TunnelRequest, TunnelResponse, TunnelWindow, limits, tunnel_close::Reason};
use tests::{
    AGENT, Agent, Chunk, Farewell, Gateway, Message, OTHER_AGENT, PATIENCE, Request, Rogue, Service,
    Transport, Wire, farewell, frames, introduction, noise, over_every_transport,
};
use uuid::Uuid;

mod bodies;
mod heads;
mod links;
mod order;

/// A gateway with a rogue on one side, a client on the other, and a decent agent beside them.
struct Scene {
    gateway: Gateway,
    rogue: Rogue,
    client: Wire,
    _decent: Agent,
    _service: Service,
}

impl Scene {
    async fn new(transport: Transport) -> Self {
        Self::with(transport, |_limits| {}).await
    }

    async fn with(transport: Transport, adjust: impl FnOnce(&mut gateway::Limits)) -> Self {
        let gateway = Gateway::start_with(adjust).await;
        let service = Service::saying("unharmed").await;
        let mut decent = Agent::start(transport, gateway.port(transport), OTHER_AGENT, service.addr());
        decent.online().await;
        let rogue = Rogue::join(transport, &gateway, AGENT).await;
        let client = gateway.client().await;
        Self { gateway, rogue, client, _decent: decent, _service: service }
    }

    /// The client asks, and the rogue has the question.
    async fn asked(&mut self) -> TunnelRequest {
        self.client.begin(&Request::get("/")).await;
        self.rogue.request().await
    }

    /// The client asks, and the rogue has answered with the head of a body.
    async fn begun(&mut self) -> bytes::Bytes {
        let id = self.asked().await.id;
        self.rogue.send(frames::head(&id));
        assert_eq!(self.client.reader.head().await.status(), 200);
        id
    }

    async fn response(&mut self) -> Message {
        self.client.reader.response(&Request::get("/")).await
    }

    /// The client is told that the response is bad, and the rogue that its exchange is over.
    async fn assert_bad_response(&mut self, id: impl AsRef<[u8]>, reason: Reason) {
        let head = self.response().await.head;
        assert_eq!((head.status(), head.value("indranet-error")), (502, Some("upstream_bad_response")));
        assert_eq!(self.rogue.close_of(id).await, reason);
    }

    /// The client sees its body break off. It needs a new connection afterwards, and gets one.
    async fn assert_cut(&mut self) {
        while let Some(chunk) = self.client.reader.chunk().await {
            assert!(matches!(chunk, Chunk::Data(_)), "a clean end");
        }
        self.client = self.gateway.client().await;
    }

    /// The rogue's session goes on, and everybody's exchanges with it.
    async fn assert_unharmed(&mut self) {
        let id = self.asked().await.id;
        self.rogue.send(frames::answer(&id, "well-behaved"));
        assert_eq!(self.response().await.body, b"well-behaved");
        self.assert_others_unharmed().await;
    }

    async fn assert_others_unharmed(&mut self) {
        let response = self.client.ask(&Request::get("/").to(OTHER_AGENT)).await;
        assert_eq!(response.body, b"unharmed");
        self.gateway.idle().await;
    }

    /// The rogue's session is over, and only that.
    async fn assert_closed(&mut self, transport: Transport, farewell: Farewell) {
        assert_eq!(self.rogue.goodbye().await, farewell.over(transport));
        self.gateway.has_sessions(1).await;
        self.assert_others_unharmed().await;
        let head = self.client.ask(&Request::get("/")).await.head;
        assert_eq!((head.status(), head.value("indranet-error")), (404, Some("agent_offline")));
    }
}
