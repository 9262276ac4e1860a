//! Many requests: one after the other, at once, and too many.

use std::sync::Arc;

use futures_util::future::join_all;
use proto::ConnectRequest;
use tests::{
    AGENT, Agent, Gateway, OTHER_AGENT, Request, Rogue, Service, Transport, Tunnel, Upstream, Wire, frames,
    introduction, over_every_transport,
};
use tokio::sync::Barrier;

over_every_transport![
    a_thousand_requests_of_one_connection_alternate_between_two_agents,
    pipelined_requests_are_answered_in_order_each_by_its_own_agent,
    two_hundred_requests_are_in_progress_at_once,
    more_requests_than_an_agent_wants_are_told_to_come_back,
    more_requests_than_agreed_are_told_to_come_back,
    connections_to_the_service_are_used_again,
    a_connection_that_the_service_closed_while_idle_is_replaced,
    a_safe_request_on_a_stale_connection_is_sent_again,
    an_unsafe_request_on_a_stale_connection_is_not,
];

/// A tunnel to `AGENT`, and beside it one to `OTHER_AGENT`; each service says the name of its agent.
async fn two_agents(transport: Transport) -> (Tunnel, Agent, [Service; 2]) {
    let services = [Service::saying(AGENT).await, Service::saying(OTHER_AGENT).await];
    let tunnel = Tunnel::start(transport, services[0].addr()).await;
    let gateway = tunnel.gateway.port(transport);
    let mut other = Agent::start(transport, gateway, OTHER_AGENT, services[1].addr());
    other.online().await;
    (tunnel, other, services)
}

async fn a_thousand_requests_of_one_connection_alternate_between_two_agents(transport: Transport) {
    let (tunnel, _other, _services) = two_agents(transport).await;
    let mut client = tunnel.client().await;
    for agent in [AGENT, OTHER_AGENT].iter().cycle().take(1000) {
        assert_eq!(client.ask(&Request::get("/").to(agent)).await.body, agent.as_bytes());
    }
    tunnel.gateway.counted("ok", 1000).await;
}

async fn pipelined_requests_are_answered_in_order_each_by_its_own_agent(transport: Transport) {
    let (tunnel, _other, _services) = two_agents(transport).await;
    let mut client = tunnel.client().await;
    let agents = || [AGENT, OTHER_AGENT, "nobody", OTHER_AGENT].into_iter().cycle().take(200);
    let all: Vec<u8> = agents().flat_map(|agent| Request::get("/").to(agent).bytes()).collect();
    client.send(all).await;
    for agent in agents() {
        let response = client.reader.response(&Request::get("/")).await;
        if agent == "nobody" {
            assert_eq!(response.head.status(), 404);
        } else {
            assert_eq!(response.body, agent.as_bytes());
        }
    }
}

async fn two_hundred_requests_are_in_progress_at_once(transport: Transport) {
    // Nobody is answered until all have asked.
    let barrier = Arc::new(Barrier::new(200));
    let service = Service::start(move |_request| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            Service::text("together")
        }
    })
    .await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let responses = join_all((0..200).map(|_| async { tunnel.ask(&Request::get("/")).await })).await;
    assert!(responses.iter().all(|response| response.body == b"together"));
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("ok", 200).await;
}

async fn more_requests_than_agreed_are_told_to_come_back(transport: Transport) {
    let upstream = Upstream::start().await;
    let tunnel =
        Tunnel::start_with(transport, upstream.addr(), |limits| limits.terms.max_concurrent = 2).await;
    let mut in_progress = Vec::new();
    for _ in 0..2 {
        let mut client = tunnel.client().await;
        client.begin(&Request::get("/")).await;
        let mut service = upstream.accept().await;
        service.request().await;
        in_progress.push((client, service));
    }
    let response = tunnel.ask(&Request::get("/")).await;
    assert_eq!((response.head.status(), response.head.value("indranet-error")), (503, Some("overloaded")));
    assert_eq!(response.head.value("retry-after"), Some("1"));
    for (client, service) in &mut in_progress {
        service.answer("late").await;
        assert_eq!(client.reader.response(&Request::get("/")).await.body, b"late");
    }
    let (client, service) = &mut in_progress[1];
    client.begin(&Request::get("/")).await;
    service.request().await;
    service.answer("room again").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"room again");
    tunnel.gateway.counted("overloaded", 1).await;
}

async fn more_requests_than_an_agent_wants_are_told_to_come_back(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut modest = Rogue::dial(transport, gateway.port(transport)).await;
    modest.send(ConnectRequest { max_concurrent: 1, ..introduction(AGENT) });
    assert_eq!(modest.accepted().await.max_concurrent, 1);
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    let id = modest.request().await.id;
    let response = gateway.client().await.ask(&Request::get("/")).await;
    assert_eq!((response.head.status(), response.head.value("indranet-error")), (503, Some("overloaded")));
    modest.send(frames::answer(&id, "one at a time"));
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"one at a time");
}

async fn connections_to_the_service_are_used_again(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    for _ in 0..100 {
        tunnel.ask(&Request::post("/").body("a body")).await;
    }
    // A response may be with its client a moment before its connection is free again.
    assert_eq!(service.connections(), 1, "connections for 100 requests in a row");
}

async fn a_connection_that_the_service_closed_while_idle_is_replaced(transport: Transport) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    let request = Request::post("/").body("not to be lost");
    for _ in 0..20 {
        client.begin(&request).await;
        let mut service = upstream.accept().await;
        assert_eq!(service.request().await.body, b"not to be lost");
        service.send("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(client.reader.response(&request).await.body, b"ok");
    }
}

/// A client whose first request was answered, and the connection to the service that is kept behind it.
async fn kept(transport: Transport) -> (Upstream, Tunnel, Wire, Wire) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::get("/first")).await;
    let mut stale = upstream.accept().await;
    stale.request().await;
    stale.answer("first").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"first");
    (upstream, tunnel, client, stale)
}

async fn a_safe_request_on_a_stale_connection_is_sent_again(transport: Transport) {
    let (upstream, _tunnel, mut client, mut stale) = kept(transport).await;

    client.begin(&Request::get("/second").field("x-kept", "1")).await;
    assert_eq!(stale.request().await.head.target(), "/second");
    drop(stale);
    let mut fresh = upstream.accept().await;
    let again = fresh.request().await.head;
    assert_eq!((again.target(), again.value("x-kept")), ("/second", Some("1")));
    fresh.answer("second").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"second");
}

async fn an_unsafe_request_on_a_stale_connection_is_not(transport: Transport) {
    let (_upstream, _tunnel, mut client, mut stale) = kept(transport).await;

    client.begin(&Request::post("/second").body("once only")).await;
    assert_eq!(stale.request().await.body, b"once only");
    drop(stale);
    let head = client.reader.response(&Request::get("/")).await.head;
    assert_eq!((head.status(), head.value("indranet-error")), (502, Some("upstream_bad_response")));
}
