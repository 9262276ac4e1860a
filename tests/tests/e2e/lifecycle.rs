//! How gateways and agents come, go, come back, and notice that the other is gone.

use std::{fs, path::Path, time::Duration};

use gateway::{
    TokenFile,
    tokens::{TokenEntry, TokenKey},
};
use proto::{ConnectRequest, drain, gateway_frame::Frame};
use tests::{
    AGENT, Agent, Gateway, OTHER_AGENT, Relay, Request, Rogue, Service, Transport, Tunnel, Upstream, Wire,
    credential, eventually, farewell, frames, grant, introduction, over_every_transport, signed,
};
use uuid::Uuid;

over_every_transport![
    an_agent_that_was_accepted_can_be_reached_at_once,
    a_gateway_that_drains_finishes_what_is_in_progress,
    a_gateway_that_drains_tells_its_agents_and_takes_no_others,
    a_gateway_does_not_wait_longer_than_its_grace_period,
    an_agent_that_drains_finishes_what_is_in_progress,
    no_request_is_lost_while_agents_take_turns,
    an_agent_comes_back_after_its_gateway_was_killed,
    a_newer_link_of_the_same_instance_replaces_the_older,
    an_agent_whose_link_was_closed_is_offline_at_once,
    instances_of_one_agent_share_its_requests,
    an_instance_whose_link_was_closed_attracts_no_requests,
    requests_go_on_when_one_of_several_instances_dies,
    a_revoked_token_cuts_its_session_and_no_other,
    a_token_that_is_added_works_without_a_restart,
    an_agent_that_falls_silent_is_dropped,
    an_agent_that_only_pings_is_not_silent,
    a_network_that_falls_silent_is_noticed_at_both_ends,
    agents_without_work_stay_connected,
];

async fn an_agent_that_was_accepted_can_be_reached_at_once(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut client = gateway.client().await;
    let request = Request::get("/");
    for _ in 0..100 {
        let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
        rogue.send(introduction(AGENT));
        rogue.accepted().await;
        client.begin(&request).await;
        let answered = async {
            let id = rogue.request().await.id;
            rogue.send(frames::answer(&id, "at once"));
        };
        let ((), response) = tokio::join!(answered, client.reader.response(&request));
        assert_eq!(response.body, b"at once");
        drop(rogue);
        gateway.has_sessions(0).await;
    }
}

async fn begun(transport: Transport) -> (Tunnel, Wire, Upstream, Wire) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::get("/")).await;
    let mut service = upstream.accept().await;
    service.request().await;
    (tunnel, client, upstream, service)
}

async fn a_gateway_that_drains_finishes_what_is_in_progress(transport: Transport) {
    let (tunnel, mut client, _upstream, mut service) = begun(transport).await;
    let Tunnel { gateway, mut agent } = tunnel;
    service.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let head = client.reader.head().await;
    gateway.drain();
    agent.event(|event| matches!(event, agent::Event::Connecting { .. }).then_some(())).await;
    service.send("world").await;
    assert_eq!(client.reader.body(&head).await.unwrap().0, b"helloworld");
    gateway.ended().await.unwrap();
}

async fn a_gateway_that_drains_tells_its_agents_and_takes_no_others(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut rogue = Rogue::join(transport, &gateway, AGENT).await;
    let late = Rogue::dial(transport, gateway.port(transport)).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    let request = rogue.request().await;
    gateway.drain();
    let drain = rogue.wait(|frame| if let Frame::Drain(drain) = frame { Some(drain) } else { None }).await;
    assert_eq!(drain.reason(), drain::Reason::Shutdown);

    let mut late = late;
    late.send(introduction(OTHER_AGENT));
    let error = late.refused().await;
    assert_eq!((error.code().as_str_name(), error.retryable), ("CODE_UNAVAILABLE", true));
    assert_eq!(late.goodbye().await, farewell::SHUTDOWN.over(transport));

    rogue.send(frames::answer(&request.id, "the last one"));
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"the last one");
    assert_eq!(rogue.goodbye().await, farewell::SHUTDOWN.over(transport));
    drop((rogue, late));
    gateway.ended().await.unwrap();
}

async fn a_gateway_does_not_wait_longer_than_its_grace_period(transport: Transport) {
    let upstream = Upstream::start().await;
    let grace_period = Duration::from_millis(300);
    let Tunnel { gateway, agent: _agent } =
        Tunnel::start_with(transport, upstream.addr(), |limits| limits.terms.grace_period = grace_period)
            .await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    let mut service = upstream.accept().await;
    service.request().await;
    gateway.drain();
    gateway.ended().await.unwrap();
    if let Some(head) = client.reader.try_head().await {
        assert_eq!(head.status(), 502);
    }
    service.closed().await;
}

async fn an_agent_that_drains_finishes_what_is_in_progress(transport: Transport) {
    let (tunnel, mut client, _upstream, mut service) = begun(transport).await;
    let Tunnel { gateway, agent } = tunnel;
    agent.drain();
    let what = "the agent is no longer chosen";
    // Until the gateway knows, requests may still reach the agent, and then the service, which keeps them waiting.
    eventually(what, async || {
        let mut late = gateway.client().await;
        late.begin(&Request::get("/late")).await;
        let answer = tokio::time::timeout(Duration::from_millis(50), late.reader.head()).await;
        answer.is_ok_and(|head| matches!(head.value("indranet-error"), Some("agent_offline")))
    })
    .await;
    service.answer("in time").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"in time");
    agent.ended().await.unwrap();
    gateway.has_sessions(0).await;
    gateway.idle().await;
}

async fn no_request_is_lost_while_agents_take_turns(transport: Transport) {
    let service = Service::saying("served").await;
    let Tunnel { gateway, agent } = Tunnel::start(transport, service.addr()).await;
    let mut current = agent;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let mut client = gateway.client().await;
    let asking = tokio::spawn(async move {
        let mut served = 0;
        while !*stopped.borrow_and_update() {
            let response = client.ask(&Request::get("/")).await;
            assert_eq!(response.head.status(), 200, "after {served} requests");
            served += 1;
        }
        served
    });
    for _ in 0..5 {
        let mut heir = Agent::start(transport, gateway.port(transport), AGENT, service.addr());
        heir.online().await;
        current.drain();
        current.ended().await.unwrap();
        current = heir;
    }
    stop.send(true).unwrap();
    assert!(asking.await.unwrap() > 0);
}

async fn an_agent_comes_back_after_its_gateway_was_killed(transport: Transport) {
    let service = Service::saying("back").await;
    let Tunnel { gateway, mut agent } = Tunnel::start(transport, service.addr()).await;
    let gateway = gateway.restart().await;
    agent.offline().await;
    agent.online().await;
    assert_eq!(gateway.client().await.ask(&Request::get("/")).await.body, b"back");
}

fn introduction_of(instance: Uuid) -> ConnectRequest {
    let request = ConnectRequest { instance_id: instance.to_string(), ..introduction(AGENT) };
    signed(request, &credential(AGENT))
}

async fn a_newer_link_of_the_same_instance_replaces_the_older(transport: Transport) {
    let gateway = Gateway::start().await;
    let instance = Uuid::new_v4();
    let mut older = Rogue::dial(transport, gateway.port(transport)).await;
    older.send(introduction_of(instance));
    older.accepted().await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/begun")).await;
    let begun = older.request().await;

    let mut newer = Rogue::dial(transport, gateway.port(transport)).await;
    newer.send(introduction_of(instance));
    newer.accepted().await;
    let drain = older.wait(|frame| if let Frame::Drain(drain) = frame { Some(drain) } else { None }).await;
    assert_eq!(drain.reason(), drain::Reason::Replaced);

    let mut other_client = gateway.client().await;
    other_client.begin(&Request::get("/new")).await;
    let request = newer.request().await;
    assert_eq!(request.path, "/new");
    newer.send(frames::answer(&request.id, "newer"));
    assert_eq!(other_client.reader.response(&Request::get("/")).await.body, b"newer");

    older.send(frames::answer(&begun.id, "older"));
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"older");
    assert_eq!(older.goodbye().await, farewell::REPLACED.over(transport));
    gateway.has_sessions(1).await;
}

/// The gateway closes the link of a rogue, and the rogue has just heard of it.
async fn just_closed(transport: Transport, gateway: &Gateway) -> Rogue {
    let mut rogue = Rogue::join(transport, gateway, AGENT).await;
    rogue.send(introduction(AGENT));
    assert_eq!(rogue.goodbye().await, farewell::PROTOCOL.over(transport));
    rogue
}

async fn an_agent_whose_link_was_closed_is_offline_at_once(transport: Transport) {
    let gateway = Gateway::start_with(|limits| limits.offline_grace = Duration::ZERO).await;
    let mut client = gateway.client().await;
    for _ in 0..30 {
        let _closed = just_closed(transport, &gateway).await;
        let head = client.ask(&Request::get("/")).await.head;
        assert_eq!((head.status(), head.value("indranet-error")), (404, Some("agent_offline")));
    }
}

async fn an_instance_whose_link_was_closed_attracts_no_requests(transport: Transport) {
    let service = Service::saying("served").await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let mut client = tunnel.client().await;
    for _ in 0..30 {
        let _closed = just_closed(transport, &tunnel.gateway).await;
        assert_eq!(client.ask(&Request::get("/")).await.head.status(), 200);
    }
}

async fn instances_of_one_agent_share_its_requests(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut one = Rogue::join(transport, &gateway, AGENT).await;
    let mut two = Rogue::join(transport, &gateway, AGENT).await;
    gateway.has_sessions(2).await;
    // Whoever has the fewest in progress is chosen. A question is asked once the one before has arrived, for two that
    // are asked at the same moment find everybody idle.
    let mut first = gateway.client().await;
    first.begin(&Request::get("/")).await;
    let (id, busy, idle) = tokio::select! {
        request = one.request() => (request.id, &one, &mut two),
        request = two.request() => (request.id, &two, &mut one),
    };
    let mut second = gateway.client().await;
    second.begin(&Request::get("/")).await;
    let other = idle.request().await.id;
    busy.send(frames::answer(&id, "shared"));
    idle.send(frames::answer(&other, "shared"));
    for client in [&mut first, &mut second] {
        assert_eq!(client.reader.response(&Request::get("/")).await.body, b"shared");
    }
}

async fn requests_go_on_when_one_of_several_instances_dies(transport: Transport) {
    let service = Service::saying("alive").await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let dying = Rogue::join(transport, &tunnel.gateway, AGENT).await;
    tunnel.gateway.has_sessions(2).await;
    drop(dying);
    tunnel.gateway.has_sessions(1).await;
    for _ in 0..10 {
        assert_eq!(tunnel.ask(&Request::get("/")).await.body, b"alive");
    }
}

/// Writes a token file for these agents, replacing it as a whole.
fn write_tokens(path: &Path, agents: &[&str]) {
    let draft = path.with_extension("draft");
    fs::write(&draft, "").unwrap();
    for agent in agents {
        let proto::Credential { token, secret } = credential(agent);
        let entry = TokenEntry::new(token, TokenKey::Stored(secret), grant(agent).agent_ids);
        TokenFile::add(&draft, &entry, None).unwrap();
    }
    fs::rename(&draft, path).unwrap();
}

/// A directory of the scenario's own, in which the token file lives.
fn directory() -> std::path::PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Uuid::new_v4().to_string());
    fs::create_dir_all(&directory).unwrap();
    directory
}

async fn a_revoked_token_cuts_its_session_and_no_other(transport: Transport) {
    let directory = directory();
    let tokens = directory.join("tokens.toml");
    write_tokens(&tokens, &[AGENT, OTHER_AGENT]);
    let gateway = Gateway::start_with_tokens(tokens.clone()).await;
    let mut revoked = Rogue::join(transport, &gateway, AGENT).await;
    let mut kept = Rogue::join(transport, &gateway, OTHER_AGENT).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    revoked.request().await;

    write_tokens(&tokens, &[OTHER_AGENT]);
    assert_eq!(revoked.goodbye().await, farewell::UNAUTHENTICATED.over(transport));
    let head = client.reader.response(&Request::get("/")).await.head;
    assert_eq!((head.status(), head.value("indranet-error")), (502, Some("tunnel_lost")));
    eventually("nobody knows the agent any more", async || {
        let head = client.ask(&Request::get("/")).await.head;
        head.value("indranet-error") == Some("agent_not_found")
    })
    .await;

    let mut again = Rogue::dial(transport, gateway.port(transport)).await;
    again.send(introduction(AGENT));
    assert_eq!(again.refused().await.code().as_str_name(), "CODE_UNAUTHENTICATED");

    client.begin(&Request::get("/").to(OTHER_AGENT)).await;
    let request = kept.request().await;
    kept.send(frames::answer(&request.id, "kept"));
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"kept");
    fs::remove_dir_all(directory).unwrap();
}

async fn a_token_that_is_added_works_without_a_restart(transport: Transport) {
    let directory = directory();
    let tokens = directory.join("tokens.toml");
    write_tokens(&tokens, &[OTHER_AGENT]);
    let gateway = Gateway::start_with_tokens(tokens.clone()).await;
    write_tokens(&tokens, &[OTHER_AGENT, AGENT]);
    let what = "the agent is known";
    eventually(what, async || {
        let head = gateway.client().await.ask(&Request::get("/")).await.head;
        head.value("indranet-error") == Some("agent_offline")
    })
    .await;
    Rogue::join(transport, &gateway, AGENT).await;
    fs::remove_dir_all(directory).unwrap();
}

/// After a second of silence a link is given up.
async fn impatient_gateway() -> Gateway {
    gateway_that_waits(Duration::from_millis(700)).await
}

/// An agent is asked after 300 ms of silence whether it is still there, and has so long to answer.
async fn gateway_that_waits(heartbeat_timeout: Duration) -> Gateway {
    Gateway::start_with(|limits| {
        limits.terms.heartbeat_interval = Duration::from_millis(300);
        limits.terms.heartbeat_timeout = heartbeat_timeout;
    })
    .await
}

/// How long an agent may be silent that does what it should, on a machine on which everything is tested at once.
const ENOUGH: Duration = Duration::from_millis(2700);
/// Longer than that and the 300 ms before it.
const LONGER: Duration = Duration::from_secs(4);

async fn an_agent_that_falls_silent_is_dropped(transport: Transport) {
    let gateway = impatient_gateway().await;
    let mut rogue = Rogue::join(transport, &gateway, AGENT).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    let head = client.reader.response(&Request::get("/")).await.head;
    assert_eq!((head.status(), head.value("indranet-error")), (502, Some("tunnel_lost")));
    assert_eq!(rogue.goodbye().await, farewell::SILENT.over(transport));
    gateway.has_sessions(0).await;
    gateway.idle().await;
}

async fn an_agent_that_only_pings_is_not_silent(transport: Transport) {
    let gateway = gateway_that_waits(ENOUGH).await;
    let mut rogue = Rogue::join(transport, &gateway, AGENT).await;
    let begun = tokio::time::Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while begun.elapsed() < LONGER {
        ticks.tick().await;
        rogue.heard().await;
    }
    assert_eq!(gateway.metrics().await.sessions(), 1);
}

async fn a_network_that_falls_silent_is_noticed_at_both_ends(transport: Transport) {
    let service = Service::saying("back").await;
    let gateway = impatient_gateway().await;
    let relay = Relay::start(gateway.port(transport)).await;
    let mut agent = Agent::start(transport, relay.addr(), AGENT, service.addr());
    agent.online().await;
    assert_eq!(gateway.client().await.ask(&Request::get("/")).await.body, b"back");
    relay.freeze();
    let reason = agent.offline().await;
    assert!(reason.contains("no heartbeat"), "{reason}");
    agent.online().await;
    gateway.has_sessions(1).await;
    assert_eq!(gateway.client().await.ask(&Request::get("/")).await.body, b"back");
}

async fn agents_without_work_stay_connected(transport: Transport) {
    let service = Service::saying("still here").await;
    let gateway = gateway_that_waits(ENOUGH).await;
    let mut agent = Agent::start(transport, gateway.port(transport), AGENT, service.addr());
    agent.online().await;
    let lost = tokio::time::timeout(LONGER, agent.offline()).await;
    assert!(lost.is_err(), "lost: {lost:?}");
    assert_eq!(gateway.client().await.ask(&Request::get("/")).await.body, b"still here");
}
