//! Links that carry nonsense, floods, or nothing at all.

use super::*;

over_every_transport![
    a_second_introduction_closes_the_session,
    bytes_that_are_no_frame_close_the_session,
    a_frame_of_enormous_size_closes_the_session,
    frames_of_an_unknown_kind_are_ignored,
    a_flood_of_pings_is_survived,
    a_flood_of_pongs_is_survived,
    pings_that_carry_too_much_are_strikes,
    an_agent_that_leaves_before_the_head_is_a_502,
    an_agent_that_leaves_in_the_middle_of_a_body_is_not_a_clean_end,
    an_agent_that_reads_nothing_is_nobody_elses_trouble,
    an_agent_that_reads_no_upload_is_nobody_elses_trouble,
    a_farewell_that_is_not_meant_takes_the_agent_off_the_list,
];

async fn a_second_introduction_closes_the_session(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    scene.asked().await;
    scene.rogue.send(introduction(AGENT));
    let head = scene.response().await.head;
    assert_eq!((head.status(), head.value("indranet-error")), (502, Some("tunnel_lost")));
    scene.assert_closed(transport, farewell::PROTOCOL).await;
}

async fn bytes_that_are_no_frame_close_the_session(transport: Transport) {
    let truncated = b"\x12\xff".to_vec();
    let no_utf8 = b"\x12\x04\x4a\x02\xff\xfe".to_vec(); // in a reason phrase
    let deep = [0x7b; 200].to_vec();
    let no_tag = vec![0; 10];
    for bytes in [truncated, no_utf8, deep, no_tag] {
        let mut scene = Scene::new(transport).await;
        scene.asked().await;
        scene.rogue.send_bytes(bytes);
        assert_eq!(scene.response().await.head.status(), 502);
        scene.assert_closed(transport, farewell::MALFORMED).await;
    }
}

async fn a_frame_of_enormous_size_closes_the_session(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.begun().await;
    scene.rogue.send(frames::data(&id, vec![b'x'; 64 << 20]));
    scene.assert_cut().await;
    scene.assert_closed(transport, farewell::TOO_LARGE).await;
}

async fn frames_of_an_unknown_kind_are_ignored(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for _ in 0..1000 {
        scene.rogue.send(AgentFrame::default());
        scene.rogue.send_bytes(b"\xfa\x01\x03new".to_vec()); // field 31
        scene.rogue.send(proto::ControlMessage { r#type: 77, ..proto::ControlMessage::default() });
    }
    scene.assert_unharmed().await;
}

/// A scene in which a request may wait behind a flood.
async fn unhurried(transport: Transport) -> Scene {
    Scene::with(transport, |limits| limits.response_timeout = tests::PATIENCE).await
}

async fn a_flood_of_pings_is_survived(transport: Transport) {
    let mut scene = unhurried(transport).await;
    for _ in 0..100_000 {
        scene.rogue.send(frames::ping(vec![7; limits::MAX_PING_PAYLOAD]));
    }
    scene.assert_unharmed().await;
}

async fn a_flood_of_pongs_is_survived(transport: Transport) {
    let mut scene = unhurried(transport).await;
    for _ in 0..100_000 {
        scene.rogue.send(frames::pong(vec![0; 8]));
    }
    scene.assert_unharmed().await;
}

async fn pings_that_carry_too_much_are_strikes(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for _ in 1..limits::MAX_STRIKES {
        scene.rogue.send(frames::ping(vec![7; limits::MAX_PING_PAYLOAD + 1]));
    }
    scene.assert_unharmed().await;
    scene.rogue.send(frames::ping(vec![7; 100_000]));
    scene.assert_closed(transport, farewell::PROTOCOL).await;
}

async fn an_agent_that_leaves_before_the_head_is_a_502(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    scene.asked().await;
    scene.rogue.leave(transport, &scene.gateway).await;
    let head = scene.response().await.head;
    assert_eq!((head.status(), head.value("indranet-error")), (502, Some("tunnel_lost")));
    scene.gateway.has_sessions(1).await;
    scene.assert_others_unharmed().await;
}

async fn an_agent_that_leaves_in_the_middle_of_a_body_is_not_a_clean_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.begun().await;
    scene.rogue.send(frames::data(&id, "the beginning"));
    assert_eq!(scene.client.reader.chunk().await, Some(Chunk::Data(b"the beginning".to_vec())));
    scene.rogue.leave(transport, &scene.gateway).await;
    scene.assert_cut().await;
    scene.gateway.counted("truncated", 1).await;
    scene.gateway.has_sessions(1).await;
    scene.assert_others_unharmed().await;
}

async fn an_agent_that_reads_nothing_is_nobody_elses_trouble(transport: Transport) {
    let mut scene = Scene::with(transport, |limits| {
        limits.terms.max_concurrent = 100;
        limits.response_timeout = PATIENCE;
    })
    .await;
    let request = Request::get("/").field("x-large", "v".repeat(50_000));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..101 {
        let mut client = scene.gateway.client().await;
        let request = request.clone();
        clients.spawn(async move { client.ask(&request).await.head });
    }
    let turned_away = clients.join_next().await.unwrap().unwrap();
    assert_eq!((turned_away.status(), turned_away.value("indranet-error")), (503, Some("overloaded")));
    assert!(turned_away.value("retry-after").is_some());
    let response = scene.client.ask(&Request::get("/").to(OTHER_AGENT)).await;
    assert_eq!(response.body, b"unharmed");
    scene.rogue.leave(transport, &scene.gateway).await;
    while let Some(head) = clients.join_next().await {
        assert_eq!(head.unwrap().status(), 502);
    }
    scene.assert_others_unharmed().await;
}

async fn an_agent_that_reads_no_upload_is_nobody_elses_trouble(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut uploads = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut client = scene.gateway.client().await;
        uploads.spawn(async move {
            let _ = client.writer.try_send(Request::post("/").body(vec![b'x'; 32 << 20]).bytes()).await;
            client.reader.head().await.status()
        });
    }
    tests::eventually("all are in progress", async || scene.gateway.metrics().await.in_flight() == 8).await;
    for _ in 0..20 {
        let response = scene.client.ask(&Request::get("/").to(OTHER_AGENT)).await;
        assert_eq!(response.body, b"unharmed");
    }
    scene.rogue.leave(transport, &scene.gateway).await;
    while let Some(status) = uploads.join_next().await {
        assert_eq!(status.unwrap(), 502);
    }
    scene.assert_others_unharmed().await;
}

async fn a_farewell_that_is_not_meant_takes_the_agent_off_the_list(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.begun().await;
    for _ in 0..100 {
        scene.rogue.send(proto::Drain::default());
    }
    scene.rogue.send(TunnelWindow { id: id.clone(), credit: 1 });
    scene.rogue.send(frames::last_data(&id, "finished"));
    assert_eq!(scene.client.reader.chunk().await, Some(Chunk::Data(b"finished".to_vec())));
    assert_eq!(scene.client.reader.chunk().await, Some(Chunk::Last(Vec::new())));
    let head = scene.client.ask(&Request::get("/")).await.head;
    assert_eq!((head.status(), head.value("indranet-error")), (404, Some("agent_offline")));
    scene.assert_others_unharmed().await;
}
