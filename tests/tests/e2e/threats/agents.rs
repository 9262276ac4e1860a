//! Rows A1 to A15: what `e2e::misbehaving` leaves open, which is what clients of HTTP/2 see of it and switches of
//! protocol.

use std::time::Duration;

use bytes::Bytes;
use proto::{TunnelResponse, tunnel_close::Reason};
use tests::{
    frames,
    h2::{Fate, H2, frame},
    over_every_transport,
};

use super::*;

over_every_transport![
    a1_fields_that_break_http_are_a_502_over_http_2_too,
    a2_a_switch_that_nobody_asked_for_is_a_502,
    a3_a_body_that_is_not_as_long_as_declared_is_a_reset_over_http_2,
    a9_a_body_that_never_comes_is_a_reset_over_http_2,
    a10_bodies_where_there_can_be_none_are_thrown_away_over_http_2,
    a11_an_agent_that_leaves_is_a_502_or_a_reset_over_http_2,
];

/// A client of HTTP/2 asks, and the silent agent has the question.
async fn asked(scene: &mut Scene) -> (H2, Bytes) {
    let mut client = scene.h2().await;
    client.send(h2::get(1, &host_of(OTHER_AGENT))).await;
    let id = scene.silent.request().await.id;
    (client, id)
}

async fn a1_fields_that_break_http_are_a_502_over_http_2_too(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let fields = [
        frames::header(":status", "200"),
        frames::header("x y", "1"),
        frames::header("x", "a\r\nb: c"),
        frames::header("x", "a\0b"),
        frames::header("\u{e9}", "1"),
    ];
    for header in fields {
        let (mut client, id) = asked(&mut scene).await;
        scene.silent.send(TunnelResponse { headers: vec![header], ..frames::response(&id, 200) });
        assert_eq!(client.fate(1).await, Fate::Status(502));
    }
    // Those of one hop are dropped rather than have the library refuse the whole head.
    let (mut client, id) = asked(&mut scene).await;
    let headers = ["connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection", "te"];
    let headers = headers.map(|name| frames::header(name, "chunked")).to_vec();
    scene.silent.send(TunnelResponse { headers, ..frames::answer(&id, "fine") });
    assert_eq!(client.fate(1).await, Fate::Status(200));
    assert_eq!(client.body(1).await.unwrap(), b"fine");
    scene.assert_over().await;
}

async fn a2_a_switch_that_nobody_asked_for_is_a_502(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for protocol in ["websocket", "h2c"] {
        let switch = |id: &Bytes| TunnelResponse {
            upgrade: protocol.to_owned(),
            end_stream: false,
            ..frames::response(id, 101)
        };
        let mut client = scene.gateway.client().await;
        client.begin(&Request::get("/").to(OTHER_AGENT)).await;
        let id = scene.silent.request().await.id;
        scene.silent.send(switch(&id));
        let head = client.reader.head().await;
        assert_eq!((head.status(), head.value("indranet-error")), (502, Some("upstream_bad_response")));
        let (mut client, id) = asked(&mut scene).await;
        scene.silent.send(switch(&id));
        assert_eq!(client.fate(1).await, Fate::Status(502));
    }
    scene.assert_over().await;
}

async fn a3_a_body_that_is_not_as_long_as_declared_is_a_reset_over_http_2(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for last in ["rt", "t and long"] {
        let (mut client, id) = asked(&mut scene).await;
        scene.silent.send(TunnelResponse { content_length: Some(9), ..frames::head(&id) });
        assert_eq!(client.fate(1).await, Fate::Status(200));
        scene.silent.send(frames::data(&id, "shor"));
        scene.silent.send(frames::last_data(&id, last));
        assert!(matches!(client.body(1).await, Err(Fate::Reset(_))), "{last}");
    }
    scene.gateway.counted("truncated", 2).await;
    scene.assert_over().await;
}

async fn a9_a_body_that_never_comes_is_a_reset_over_http_2(transport: Transport) {
    let mut scene =
        Scene::with(transport, |limits| limits.terms.idle_timeout = Duration::from_millis(200)).await;
    let (mut client, id) = asked(&mut scene).await;
    scene.silent.send(frames::head(&id));
    assert_eq!(client.fate(1).await, Fate::Status(200));
    assert!(matches!(client.body(1).await, Err(Fate::Reset(_))));
    assert_eq!(scene.silent.close_of(&id).await, Reason::Timeout);
    scene.assert_over().await;
}

async fn a10_bodies_where_there_can_be_none_are_thrown_away_over_http_2(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for status in [204, 304] {
        let (mut client, id) = asked(&mut scene).await;
        scene.silent.send(TunnelResponse { status, ..frames::answer(&id, "a body") });
        let head = loop {
            match client.frame().await.unwrap() {
                head if head.kind == frame::HEADERS => break head,
                _ => {}
            }
        };
        assert!(head.ends_stream(), "{status}");
    }
    scene.assert_over().await;
}

async fn a11_an_agent_that_leaves_is_a_502_or_a_reset_over_http_2(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let (mut before_head, _) = asked(&mut scene).await;
    let (mut behind_head, id) = asked(&mut scene).await;
    scene.silent.send(frames::head(&id));
    scene.silent.send(frames::data(&id, "the beginning"));
    assert_eq!(behind_head.fate(1).await, Fate::Status(200));
    scene.silent.leave(transport, &scene.gateway).await;
    assert_eq!(before_head.fate(1).await, Fate::Status(502));
    assert!(matches!(behind_head.body(1).await, Err(Fate::Reset(_))));
    scene.gateway.counted("truncated", 1).await;
    scene.gateway.counted("tunnel_lost", 1).await;
    scene.silent = Rogue::join(transport, &scene.gateway, OTHER_AGENT).await;
    scene.assert_over().await;
}
