//! Frames at the wrong time, or for exchanges that are not theirs.

use super::*;

over_every_transport![
    a_second_head_cuts_the_response,
    a_chunk_before_the_head_is_a_502,
    an_end_before_the_head_is_a_502,
    a_chunk_after_the_end_is_ignored,
    a_second_end_is_ignored,
    a_chunk_after_the_end_harms_nobody_else,
    frames_for_exchanges_that_nobody_knows_are_ignored,
    ids_that_are_none_are_strikes,
    the_exchange_of_another_agent_is_out_of_reach,
    the_exchange_of_another_session_is_out_of_reach,
    an_agent_may_refuse_what_it_was_given,
    reasons_of_an_agent_become_answers_of_the_gateway,
    an_exchange_may_be_closed_twice,
    violation_upon_violation_closes_the_session,
];

async fn a_second_head_cuts_the_response(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.begun().await;
    scene.rogue.send(frames::head(&id));
    scene.assert_cut().await;
    assert_eq!(scene.rogue.close_of(&id).await, Reason::Protocol);
    scene.gateway.counted("truncated", 1).await;
    scene.assert_unharmed().await;
}

async fn a_chunk_before_the_head_is_a_502(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    scene.rogue.send(frames::data(&id, "too early"));
    scene.rogue.send(frames::answer(&id, "too late"));
    scene.assert_bad_response(&id, Reason::Protocol).await;
    scene.assert_unharmed().await;
}

async fn an_end_before_the_head_is_a_502(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    scene.rogue.send(frames::close(&id, Reason::Done));
    scene.assert_bad_response(&id, Reason::Protocol).await;
    scene.assert_unharmed().await;
}

async fn a_chunk_after_the_end_is_ignored(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    scene.rogue.send(frames::answer(&id, "the end"));
    assert_eq!(scene.response().await.body, b"the end");
    scene.gateway.idle().await;
    for _ in 0..1000 {
        scene.rogue.send(frames::data(&id, "not the end"));
    }
    scene.assert_unharmed().await;
}

async fn a_second_end_is_ignored(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.begun().await;
    scene.rogue.send(frames::last_data(&id, "the end"));
    for _ in 0..1000 {
        scene.rogue.send(frames::close(&id, Reason::Done));
        scene.rogue.send(frames::close(&id, Reason::UpstreamReset));
    }
    assert_eq!(scene.client.reader.chunk().await, Some(Chunk::Data(b"the end".to_vec())));
    assert_eq!(scene.client.reader.chunk().await, Some(Chunk::Last(Vec::new())));
    scene.assert_unharmed().await;
}

async fn a_chunk_after_the_end_harms_nobody_else(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    // The request is still on its way, and so is the exchange.
    scene.client.begin(&Request::post("/").declaring(1000)).await;
    let id = scene.rogue.request().await.id;
    scene.rogue.send(frames::answer(&id, "the end"));
    scene.rogue.send(frames::data(&id, "not the end"));
    // The gateway is done with the exchange as soon as the client has its response.
    assert!(matches!(scene.rogue.close_of(&id).await, Reason::Protocol | Reason::Cancelled));
    scene.client = scene.gateway.client().await;
    scene.assert_unharmed().await;
}

async fn frames_for_exchanges_that_nobody_knows_are_ignored(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.begun().await;
    for _ in 0..1000 {
        let unknown = Uuid::new_v4().to_string();
        scene.rogue.send(frames::response(&unknown, 200));
        scene.rogue.send(frames::data(&unknown, "for nobody"));
        scene.rogue.send(frames::window(&unknown, 1));
        scene.rogue.send(frames::close(&unknown, Reason::Internal));
    }
    scene.rogue.send(frames::last_data(&id, "for somebody"));
    assert_eq!(scene.client.reader.chunk().await, Some(Chunk::Data(b"for somebody".to_vec())));
    assert_eq!(scene.client.reader.chunk().await, Some(Chunk::Last(Vec::new())));
    scene.assert_unharmed().await;
}

async fn ids_that_are_none_are_strikes(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let bad = ["", "1", "not-a-uuid", &"x".repeat(10_000)];
    for id in bad {
        scene.rogue.send(frames::response(id, 200));
        scene.rogue.send(frames::data(id, "data"));
        scene.rogue.send(frames::close(id, Reason::Done));
    }
    scene.assert_unharmed().await;
    for id in bad {
        scene.rogue.send(frames::window(id, 1));
    }
    scene.assert_closed(transport, farewell::PROTOCOL).await;
}

async fn the_exchange_of_another_agent_is_out_of_reach(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let victim = Rogue::join(transport, &scene.gateway, tests::OFFLINE_AGENT).await;
    assert_out_of_reach(&mut scene, victim, tests::OFFLINE_AGENT).await;
}

async fn the_exchange_of_another_session_is_out_of_reach(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    // With one exchange in progress, the first session is not the one to be chosen.
    let busy = scene.asked().await.id;
    let victim = Rogue::join(transport, &scene.gateway, AGENT).await;
    let client = scene.gateway.client().await;
    let first = std::mem::replace(&mut scene.client, client);
    assert_out_of_reach(&mut scene, victim, AGENT).await;
    scene.rogue.send(frames::answer(&busy, "mine"));
    scene.client = first;
    assert_eq!(scene.response().await.body, b"mine");
}

async fn assert_out_of_reach(scene: &mut Scene, mut victim: Rogue, name: &str) {
    scene.client.begin(&Request::get("/").to(name)).await;
    let id = victim.request().await.id;
    scene.rogue.send(frames::answer(&id, "stolen"));
    scene.rogue.send(frames::close(&id, Reason::Internal));
    scene.rogue.heard().await;
    victim.send(frames::answer(&id, "genuine"));
    assert_eq!(scene.response().await.body, b"genuine");
}

async fn an_agent_may_refuse_what_it_was_given(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    scene.rogue.send(frames::close(&id, Reason::Refused));
    let head = scene.response().await.head;
    assert_eq!((head.status(), head.value("indranet-error")), (503, Some("overloaded")));
    scene.assert_unharmed().await;
}

async fn reasons_of_an_agent_become_answers_of_the_gateway(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for (reason, status, code) in [
        (Reason::UpstreamConnect, 502, "upstream_refused"),
        (Reason::UpstreamReset, 502, "upstream_bad_response"),
        (Reason::TooLarge, 502, "upstream_bad_response"),
        (Reason::Timeout, 504, "response_timeout"),
        (Reason::Cancelled, 502, "upstream_bad_response"),
        (Reason::Internal, 502, "upstream_bad_response"),
    ] {
        let id = scene.asked().await.id;
        let message = "http://10.0.0.1:3000 says no".to_owned();
        scene.rogue.send(proto::TunnelClose { message, ..frames::close(&id, reason) });
        let response = scene.response().await;
        let head = &response.head;
        assert_eq!((head.status(), head.value("indranet-error")), (status, Some(code)), "{reason:?}");
        assert!(!String::from_utf8(response.body).unwrap().contains("10.0.0.1"));
    }
    let id = scene.asked().await.id;
    scene.rogue.send(proto::TunnelClose { reason: 999, ..frames::close(&id, Reason::Done) });
    assert_eq!(scene.response().await.head.status(), 502, "a reason of a later version");
    scene.assert_unharmed().await;
}

async fn an_exchange_may_be_closed_twice(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    for _ in 0..1000 {
        scene.rogue.send(frames::close(&id, Reason::UpstreamConnect));
    }
    assert_eq!(scene.response().await.head.status(), 502);
    scene.assert_unharmed().await;
}

async fn violation_upon_violation_closes_the_session(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for _ in 1..limits::MAX_STRIKES {
        let id = scene.asked().await.id;
        scene.rogue.send(frames::data(&id, "too early"));
        scene.assert_bad_response(&id, Reason::Protocol).await;
    }
    let id = scene.asked().await.id;
    scene.rogue.send(frames::data(&id, "too early"));
    assert_eq!(scene.response().await.head.status(), 502);
    scene.gateway.has_sessions(1).await;
    scene.assert_closed(transport, farewell::PROTOCOL).await;
    assert_eq!(scene.gateway.metrics().await.violations(), 1);
}
