//! What becomes of requests when links, agents and services come and go: sent again where that is safe, kept waiting for a
//! moment where somebody is about to return, and never answered twice or wrongly.

use std::time::Duration;

use proto::{ConnectRequest, Health, tunnel_close::Reason};
use tests::{
    AGENT, Gateway, Request, Rogue, Transport, Wire, credential, farewell, frames, introduction,
    over_every_transport, signed,
};
use uuid::Uuid;

over_every_transport![
    a_request_that_one_agent_refuses_goes_to_another,
    a_service_that_cannot_be_reached_is_left_for_another,
    a_safe_request_whose_link_is_lost_goes_to_another_agent,
    a_safe_request_waits_for_its_only_agent_to_come_back,
    a_request_that_may_have_had_an_effect_is_not_repeated,
    a_body_that_was_begun_is_not_repeated,
    an_answer_that_was_begun_is_not_repeated,
    a_request_for_an_agent_between_two_links_waits,
    an_agent_that_said_goodbye_is_not_waited_for,
    a_dead_link_gives_its_requests_to_its_heir_at_once,
    a_client_that_leaves_waits_no_longer,
    an_agent_that_is_out_of_order_is_not_asked,
    links_of_one_process_stand_beside_each_other,
    a_newer_process_replaces_the_older_one,
    a_newer_process_is_refused,
    a_link_that_swallows_everything_loses_its_requests_to_another,
    memory_for_bodies_is_bounded,
];

async fn status(client: &mut Wire) -> (u16, Option<String>) {
    let head = client.reader.response(&Request::get("/")).await.head;
    (head.status(), head.value("indranet-error").map(str::to_owned))
}

async fn body(client: &mut Wire) -> String {
    String::from_utf8(client.reader.response(&Request::get("/")).await.body).unwrap()
}

/// Two agents of one id, and a client whose request one of them has been given: the client, that one, the other one, the
/// request's id.
async fn asked(gateway: &Gateway, transport: Transport, request: &Request) -> (Wire, Rogue, Rogue, Uuid) {
    let mut one = Rogue::join(transport, gateway, AGENT).await;
    let mut two = Rogue::join(transport, gateway, AGENT).await;
    gateway.has_sessions(2).await;
    let mut client = gateway.client().await;
    client.begin(request).await;
    let (id, first) = tokio::select! {
        request = one.request() => (request.id, true),
        request = two.request() => (request.id, false),
    };
    let id = proto::parse_id(&id).unwrap();
    if first { (client, one, two, id) } else { (client, two, one, id) }
}

fn text(id: Uuid) -> bytes::Bytes {
    proto::id_text(id)
}

async fn a_request_that_one_agent_refuses_goes_to_another(transport: Transport) {
    let gateway = Gateway::start().await;
    let request = Request::post("/").body("precious");
    let (mut client, asked, mut other, id) = asked(&gateway, transport, &request).await;
    asked.send(frames::close(text(id), Reason::Refused));
    let again = other.request().await;
    assert_eq!((&again.id[..], &again.body[..], again.attempt), (&text(id)[..], &b"precious"[..], 1));
    other.send(frames::answer(&again.id, "second"));
    assert_eq!(body(&mut client).await, "second");
    gateway.idle().await;
}

async fn a_service_that_cannot_be_reached_is_left_for_another(transport: Transport) {
    let gateway = Gateway::start().await;
    let (mut client, asked, mut other, id) = asked(&gateway, transport, &Request::get("/")).await;
    asked.send(frames::close(text(id), Reason::UpstreamConnect));
    let again = other.request().await;
    other.send(frames::close(&again.id, Reason::UpstreamConnect));
    assert_eq!(status(&mut client).await, (502, Some("upstream_refused".to_owned())));
}

async fn a_safe_request_whose_link_is_lost_goes_to_another_agent(transport: Transport) {
    let gateway = Gateway::start().await;
    let (mut client, asked, mut other, id) = asked(&gateway, transport, &Request::get("/")).await;
    drop(asked);
    let again = other.request().await;
    assert_eq!(again.id, text(id));
    other.send(frames::answer(&again.id, "second"));
    assert_eq!(body(&mut client).await, "second");
    assert_eq!(gateway.metrics().await.retries("lost"), 1);
}

/// A gateway where a request waits for its agent as long as the scenario takes.
async fn with_grace() -> Gateway {
    Gateway::start_with(|limits| limits.offline_grace = Duration::from_secs(3600)).await
}

async fn a_safe_request_waits_for_its_only_agent_to_come_back(transport: Transport) {
    let gateway = with_grace().await;
    let mut rogue = Rogue::join(transport, &gateway, AGENT).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    rogue.request().await;
    drop(rogue);
    gateway.has_sessions(0).await;
    let mut back = Rogue::join(transport, &gateway, AGENT).await;
    let again = back.request().await;
    back.send(frames::answer(&again.id, "back"));
    assert_eq!(body(&mut client).await, "back");
}

async fn a_request_that_may_have_had_an_effect_is_not_repeated(transport: Transport) {
    let gateway = Gateway::start().await;
    let request = Request::post("/").body("once");
    let (mut client, asked, mut other, _id) = asked(&gateway, transport, &request).await;
    drop(asked);
    assert_eq!(status(&mut client).await, (502, Some("tunnel_lost".to_owned())));
    other.heard().await;
    assert_eq!(gateway.metrics().await.retries("lost"), 0);
}

async fn a_body_that_was_begun_is_not_repeated(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut rogue = Rogue::join(transport, &gateway, AGENT).await;
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: myapp.tunnel.test\r\ncontent-length: 10\r\n\r\n").await;
    let id = rogue.request().await.id;
    client.send("hello").await;
    rogue.wait(|frame| matches!(frame, proto::gateway_frame::Frame::Data(_)).then_some(())).await;
    let _other = Rogue::join(transport, &gateway, AGENT).await;
    rogue.send(frames::close(&id, Reason::Refused));
    assert_eq!(status(&mut client).await, (503, Some("overloaded".to_owned())));
}

async fn an_answer_that_was_begun_is_not_repeated(transport: Transport) {
    let gateway = Gateway::start().await;
    let (mut client, asked, mut other, id) = asked(&gateway, transport, &Request::get("/")).await;
    asked.send(frames::head(text(id)));
    let head = client.reader.head().await;
    drop(asked);
    assert!(client.reader.body(&head).await.is_err(), "a cut body is no clean end");
    other.heard().await;
    gateway.counted("truncated", 1).await;
}

async fn a_request_for_an_agent_between_two_links_waits(transport: Transport) {
    let gateway = with_grace().await;
    drop(Rogue::join(transport, &gateway, AGENT).await);
    gateway.has_sessions(0).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    tests::eventually("the request waits", async || gateway.metrics().await.waiting() == 1).await;
    let mut back = Rogue::join(transport, &gateway, AGENT).await;
    let request = back.request().await;
    back.send(frames::answer(&request.id, "worth it"));
    assert_eq!(body(&mut client).await, "worth it");
    assert_eq!(gateway.metrics().await.waiting(), 0);
}

async fn a_dead_link_gives_its_requests_to_its_heir_at_once(transport: Transport) {
    let gateway = Gateway::start().await;
    let instance = Uuid::new_v4();
    let mut dead = dial(transport, &gateway, introduction_of(instance, 0)).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    dead.request().await;
    // It was asked whether it is still there, and does not answer.
    dead.wait(|frame| match frame {
        proto::gateway_frame::Frame::Control(control) => {
            (control.r#type() == proto::control_message::Type::Ping).then_some(())
        }
        _ => None,
    })
    .await;
    let mut heir = dial(transport, &gateway, introduction_of(instance, 0)).await;
    let again = heir.request().await;
    heir.send(frames::answer(&again.id, "at once"));
    assert_eq!(body(&mut client).await, "at once");
    assert_eq!(gateway.metrics().await.retries("unheard"), 1);
}

async fn an_agent_that_said_goodbye_is_not_waited_for(transport: Transport) {
    let gateway = with_grace().await;
    let mut rogue = Rogue::join(transport, &gateway, AGENT).await;
    rogue.send(proto::Drain::default());
    rogue.heard().await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    assert_eq!(status(&mut client).await, (404, Some("agent_offline".to_owned())));
}

async fn a_client_that_leaves_waits_no_longer(transport: Transport) {
    let gateway = with_grace().await;
    drop(Rogue::join(transport, &gateway, AGENT).await);
    gateway.has_sessions(0).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    tests::eventually("the request waits", async || gateway.metrics().await.waiting() == 1).await;
    drop(client);
    gateway.idle().await;
    assert_eq!(gateway.metrics().await.waiting(), 0);
}

async fn an_agent_that_is_out_of_order_is_not_asked(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut sick = Rogue::join(transport, &gateway, AGENT).await;
    sick.send(Health { serving: false, message: "503".to_owned() });
    sick.heard().await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    assert_eq!(status(&mut client).await, (503, Some("agent_unhealthy".to_owned())));
    let mut well = Rogue::join(transport, &gateway, AGENT).await;
    for _ in 0..20 {
        client.begin(&Request::get("/")).await;
        let request = well.request().await;
        well.send(frames::answer(&request.id, "well"));
        assert_eq!(body(&mut client).await, "well");
    }
    drop(well);
    gateway.has_sessions(1).await;
    sick.send(Health { serving: true, message: String::new() });
    sick.heard().await;
    client.begin(&Request::get("/")).await;
    let request = sick.request().await;
    sick.send(frames::answer(&request.id, "well again"));
    assert_eq!(body(&mut client).await, "well again");
}

fn introduction_of(instance: Uuid, connection: u32) -> ConnectRequest {
    let request = ConnectRequest { instance_id: instance.to_string(), ..introduction(AGENT) };
    ConnectRequest { connection, ..signed(request, &credential(AGENT)) }
}

async fn dial(transport: Transport, gateway: &Gateway, introduction: ConnectRequest) -> Rogue {
    let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
    rogue.send(introduction);
    rogue.accepted().await;
    rogue
}

async fn links_of_one_process_stand_beside_each_other(transport: Transport) {
    let gateway = Gateway::start().await;
    let instance = Uuid::new_v4();
    let mut first = dial(transport, &gateway, introduction_of(instance, 0)).await;
    let mut second = dial(transport, &gateway, introduction_of(instance, 1)).await;
    gateway.has_sessions(2).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/")).await;
    let request = first.request().await;
    drop(first);
    assert_eq!(second.request().await.id, request.id);
    second.send(frames::answer(&request.id, "over the other"));
    assert_eq!(body(&mut client).await, "over the other");
    let mut heir = dial(transport, &gateway, introduction_of(instance, 1)).await;
    assert_eq!(second.goodbye().await, farewell::REPLACED.over(transport));
    client.begin(&Request::get("/")).await;
    let request = heir.request().await;
    heir.send(frames::answer(&request.id, "the heir"));
    assert_eq!(body(&mut client).await, "the heir");
}

async fn a_newer_process_replaces_the_older_one(transport: Transport) {
    let gateway = Gateway::start_with(|limits| limits.instances = gateway::Instances::Replace).await;
    let instance = Uuid::new_v4();
    let mut older = dial(transport, &gateway, introduction_of(instance, 0)).await;
    let newer = Rogue::join(transport, &gateway, AGENT).await;
    assert_eq!(older.goodbye().await, farewell::REPLACED.over(transport));
    gateway.has_sessions(1).await;
    let mut again = Rogue::dial(transport, gateway.port(transport)).await;
    again.send(introduction_of(instance, 0));
    assert_eq!(again.refused().await.code().as_str_name(), "CODE_AGENT_ID_IN_USE");
    drop(newer);
    gateway.has_sessions(0).await;
    dial(transport, &gateway, introduction_of(instance, 0)).await;
}

async fn a_newer_process_is_refused(transport: Transport) {
    let gateway = Gateway::start_with(|limits| limits.instances = gateway::Instances::Refuse).await;
    let older = Rogue::join(transport, &gateway, AGENT).await;
    let mut newer = Rogue::dial(transport, gateway.port(transport)).await;
    newer.send(introduction(AGENT));
    let error = newer.refused().await;
    assert_eq!((error.code().as_str_name(), error.retryable), ("CODE_AGENT_ID_IN_USE", true));
    drop(older);
    gateway.has_sessions(0).await;
    Rogue::join(transport, &gateway, AGENT).await;
}

async fn a_link_that_swallows_everything_loses_its_requests_to_another(transport: Transport) {
    let gateway = Gateway::start().await;
    // It answers no PING from here on: nobody reads it.
    let (mut client, _silent, mut other, id) = asked(&gateway, transport, &Request::get("/")).await;
    let again = other.request().await;
    assert_eq!(again.id, text(id));
    other.send(frames::answer(&again.id, "heard"));
    assert_eq!(body(&mut client).await, "heard");
    assert_eq!(gateway.metrics().await.retries("unheard"), 1);
    client.begin(&Request::get("/")).await;
    let request = other.request().await;
    other.send(frames::answer(&request.id, "preferred"));
    assert_eq!(body(&mut client).await, "preferred");
}

async fn memory_for_bodies_is_bounded(transport: Transport) {
    let gateway = Gateway::start_with(|limits| limits.terms.body_memory = 2 * 64 * 1024).await;
    let mut rogue = Rogue::join(transport, &gateway, AGENT).await;
    let mut clients = [gateway.client().await, gateway.client().await];
    for client in &mut clients {
        client.begin(&Request::get("/")).await;
    }
    let ids = [rogue.request().await.id, rogue.request().await.id];
    let mut third = gateway.client().await;
    third.begin(&Request::get("/")).await;
    let head = third.reader.response(&Request::get("/")).await.head;
    assert_eq!((head.status(), head.value("indranet-error")), (503, Some("overloaded")));
    assert!(head.value("retry-after").is_some());
    ids.iter().for_each(|id| rogue.send(frames::answer(id, "done")));
    for client in &mut clients {
        assert_eq!(body(client).await, "done");
    }
    third.begin(&Request::get("/")).await;
    let request = rogue.request().await;
    rogue.send(frames::answer(&request.id, "room again"));
    assert_eq!(body(&mut third).await, "room again");
}
