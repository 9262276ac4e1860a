//! Agents that keep several links: what they are good for, and how each is replaced.

use std::time::Duration;

use agent::{Config, Event, LinkAge};
use tests::{
    AGENT, Agent, Gateway, Relay, Request, Service, Transport, Upstream, eventually, over_every_transport,
};
use tokio::{sync::watch, task::JoinHandle};

over_every_transport![
    an_agent_keeps_two_links_and_both_serve,
    an_agent_keeps_as_many_links_as_it_is_told,
    requests_go_on_when_a_link_dies,
    a_link_that_comes_back_replaces_none_but_its_own_predecessor,
    an_agent_is_online_until_its_last_link_is_gone,
    an_agent_leaves_on_every_link,
    links_move_when_their_gateway_leaves_and_serve_on_until_then,
    links_are_replaced_before_they_are_too_old,
    no_request_is_lost_while_links_are_replaced,
    a_long_answer_outlives_the_link_that_was_replaced,
    a_nudge_finds_a_link_that_is_dead,
    an_agent_whose_second_link_cannot_be_made_is_online,
    a_dropped_agent_takes_its_links_along,
];

fn config(transport: Transport, gateway: std::net::SocketAddr, service: std::net::SocketAddr) -> Config {
    Config { connections: 2, ..Agent::config(transport, gateway, AGENT, service) }
}

/// Asks without a pause until it is told to stop; whatever is not a 200 ends it.
fn asking(gateway: &Gateway) -> (watch::Sender<bool>, JoinHandle<usize>) {
    let (stop, stopped) = watch::channel(false);
    let http = gateway.http();
    let asking = tokio::spawn(async move {
        let mut client = tests::Wire::connect(http).await;
        let mut served = 0;
        while !*stopped.borrow() {
            let response = client.ask(&Request::get("/")).await;
            assert_eq!(response.head.status(), 200, "after {served} requests");
            served += 1;
        }
        served
    });
    (stop, asking)
}

async fn an_agent_keeps_two_links_and_both_serve(transport: Transport) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start().await;
    let mut agent = Agent::start_with(config(transport, gateway.port(transport), upstream.addr()));
    agent.online().await;
    gateway.has_sessions(2).await;
    let source = agent.status();
    let mut busy = Vec::new();
    // They stay together until a link is well used.
    for _ in 0..33 {
        let mut client = gateway.client().await;
        client.begin(&Request::get("/")).await;
        let mut service = upstream.accept().await;
        service.request().await;
        busy.push((client, service));
    }
    let links = source.status().links;
    assert_eq!(
        links.iter().map(|link| (link.number, link.in_progress)).collect::<Vec<_>>(),
        [(0, 32), (1, 1)]
    );
    for (mut client, mut service) in busy {
        service.answer("both").await;
        assert_eq!(client.reader.response(&Request::get("/")).await.body, b"both");
    }
}

async fn an_agent_keeps_as_many_links_as_it_is_told(transport: Transport) {
    let service = Service::saying("many").await;
    let gateway = Gateway::start().await;
    let config = Config { connections: 5, ..config(transport, gateway.port(transport), service.addr()) };
    let mut agent = Agent::start_with(config);
    agent.online().await;
    gateway.has_sessions(5).await;
    assert_eq!(gateway.client().await.ask(&Request::get("/")).await.body, b"many");
}

/// An agent with two links, and the way that both take.
struct Cut {
    gateway: Gateway,
    relay: Relay,
    agent: Agent,
    _service: Service,
}

async fn two_links(transport: Transport, gateway: Gateway) -> Cut {
    let service = Service::saying("served").await;
    let relay = Relay::start(gateway.port(transport)).await;
    let mut agent = Agent::start_with(config(transport, relay.addr(), service.addr()));
    agent.online().await;
    let source = agent.status();
    // The gateway knows of a link before its agent does.
    eventually("both links are accepted", async || {
        source.status().links.iter().filter(|link| link.age_s.is_some()).count() == 2
    })
    .await;
    Cut { gateway, relay, agent, _service: service }
}

async fn requests_go_on_when_a_link_dies(transport: Transport) {
    let cut = two_links(transport, Gateway::start().await).await;
    let source = cut.agent.status();
    cut.relay.cut_oldest();
    let reconnected = || source.status().links.iter().any(|link| link.number == 0 && link.reconnects == 1);
    eventually("the link was followed by another", async || reconnected()).await;
    cut.gateway.has_sessions(2).await;
    for _ in 0..20 {
        assert_eq!(cut.gateway.client().await.ask(&Request::get("/")).await.body, b"served");
    }
}

async fn a_link_that_comes_back_replaces_none_but_its_own_predecessor(transport: Transport) {
    let cut = two_links(transport, Gateway::start().await).await;
    let source = cut.agent.status();
    let before = source.status().links;
    cut.relay.cut_oldest();
    let both = || source.status().links.iter().filter(|link| link.age_s.is_some()).count() == 2;
    let followed = || source.status().links[0].reconnects == 1;
    eventually("the first link is back", async || both() && followed()).await;
    let after = source.status().links;
    assert!(after[1].age_s >= before[1].age_s, "the second one is the same as before");
    assert_eq!((after[1].reconnects, after[1].state.as_str()), (0, "connected"));
}

async fn an_agent_is_online_until_its_last_link_is_gone(transport: Transport) {
    let mut cut = two_links(transport, Gateway::start().await).await;
    let source = cut.agent.status();
    cut.relay.cut_oldest();
    eventually("the link is back", async || source.status().links[0].reconnects == 1).await;
    cut.gateway.has_sessions(2).await;
    let told = tokio::time::timeout(Duration::ZERO, cut.agent.offline()).await;
    assert!(told.is_err(), "told: {told:?}");
    cut.relay.close();
    cut.agent.offline().await;
}

async fn an_agent_leaves_on_every_link(transport: Transport) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start().await;
    let mut agent = Agent::start_with(config(transport, gateway.port(transport), upstream.addr()));
    agent.online().await;
    gateway.has_sessions(2).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.client().await;
        client.begin(&Request::get("/")).await;
        let mut service = upstream.accept().await;
        service.request().await;
        busy.push((client, service));
    }
    agent.drain();
    agent.event(|event| matches!(event, Event::Draining { in_flight: 2 }).then_some(())).await;
    for (client, service) in &mut busy {
        service.answer("in time").await;
        assert_eq!(client.reader.response(&Request::get("/")).await.body, b"in time");
    }
    agent.ended().await.unwrap();
    gateway.has_sessions(0).await;
    gateway.idle().await;
}

async fn links_move_when_their_gateway_leaves_and_serve_on_until_then(transport: Transport) {
    let upstream = Upstream::start().await;
    let (old, new) = (Gateway::start().await, Gateway::start().await);
    let relay = Relay::start(old.port(transport)).await;
    let mut agent = Agent::start_with(config(transport, relay.addr(), upstream.addr()));
    agent.online().await;
    old.has_sessions(2).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = old.client().await;
        client.begin(&Request::get("/begun")).await;
        let mut service = upstream.accept().await;
        service.request().await;
        busy.push((client, service));
    }
    relay.lead_to(new.port(transport));
    old.drain();
    new.has_sessions(2).await;
    let mut client = new.client().await;
    client.begin(&Request::get("/new")).await;
    let mut service = upstream.accept().await;
    assert_eq!(service.request().await.head.target(), "/new");
    service.answer("new").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"new");
    for (client, service) in &mut busy {
        service.answer("old").await;
        assert_eq!(client.reader.response(&Request::get("/")).await.body, b"old");
    }
    drop(busy);
    old.ended().await.unwrap();
    let told = tokio::time::timeout(Duration::ZERO, agent.offline()).await;
    assert!(told.is_err(), "told: {told:?}");
}

/// An agent that replaces each link twice a second.
async fn rotating(transport: Transport, gateway: &Gateway, service: std::net::SocketAddr) -> Agent {
    let link_age = LinkAge::AtMost(Duration::from_millis(500));
    let config = Config { link_age, ..config(transport, gateway.port(transport), service) };
    let mut agent = Agent::start_with(config);
    agent.online().await;
    agent
}

async fn links_are_replaced_before_they_are_too_old(transport: Transport) {
    let service = Service::saying("young").await;
    let gateway = Gateway::start().await;
    let agent = rotating(transport, &gateway, service.addr()).await;
    let source = agent.status();
    eventually("both links were replaced twice", async || {
        let links = source.status().links;
        (0..2).all(|number| links.iter().any(|link| link.number == number && link.reconnects >= 2))
    })
    .await;
    // What was replaced leaves, so that there are two again and again.
    gateway.has_sessions(2).await;
}

async fn no_request_is_lost_while_links_are_replaced(transport: Transport) {
    let service = Service::saying("served").await;
    let gateway = Gateway::start().await;
    let agent = rotating(transport, &gateway, service.addr()).await;
    let source = agent.status();
    let (stop, asking) = asking(&gateway);
    eventually("both links were replaced five times", async || {
        let links = source.status().links;
        (0..2).all(|number| links.iter().any(|link| link.number == number && link.reconnects >= 5))
    })
    .await;
    stop.send(true).unwrap();
    assert!(asking.await.unwrap() > 0);
    gateway.idle().await;
}

async fn a_long_answer_outlives_the_link_that_was_replaced(transport: Transport) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start().await;
    let agent = rotating(transport, &gateway, upstream.addr()).await;
    let source = agent.status();
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    let mut service = upstream.accept().await;
    service.request().await;
    service.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let head = client.reader.head().await;
    eventually("its link is draining", async || {
        source.status().links.iter().any(|link| link.state == "draining" && link.in_progress == 1)
    })
    .await;
    service.send("world").await;
    assert_eq!(client.reader.body(&head).await.unwrap().0, b"helloworld");
    gateway.idle().await;
}

async fn a_nudge_finds_a_link_that_is_dead(transport: Transport) {
    let cut = two_links(transport, Gateway::start().await).await;
    let source = cut.agent.status();
    cut.relay.freeze();
    cut.agent.nudge();
    eventually("both links were followed by others", async || {
        let links = source.status().links;
        links.len() == 2 && links.iter().all(|link| link.reconnects == 1 && link.age_s.is_some())
    })
    .await;
    assert_eq!(cut.gateway.client().await.ask(&Request::get("/")).await.body, b"served");
}

async fn an_agent_whose_second_link_cannot_be_made_is_online(transport: Transport) {
    let service = Service::saying("one").await;
    let gateway = Gateway::start().await;
    let relay = Relay::once(gateway.port(transport)).await;
    let mut agent = Agent::start_with(config(transport, relay.addr(), service.addr()));
    agent.online().await;
    let source = agent.status();
    eventually("the second link is in trouble", async || source.status().links[1].last_error.is_some()).await;
    let told = tokio::time::timeout(Duration::ZERO, agent.offline()).await;
    assert!(told.is_err(), "told: {told:?}");
    assert_eq!(gateway.client().await.ask(&Request::get("/")).await.body, b"one");
}

async fn a_dropped_agent_takes_its_links_along(transport: Transport) {
    let cut = two_links(transport, Gateway::start().await).await;
    drop(cut.agent);
    cut.gateway.has_sessions(0).await;
}
