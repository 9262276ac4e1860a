//! Row 2j: requests over HTTP/2 that could become others on their way to a service of HTTP/1.1.

use proto::{gateway_frame::Frame, tunnel_close::Reason};
use tests::{
    frames,
    h2::{
        Fate, call, frame,
        frame::{END_HEADERS, END_STREAM},
        hpack, post,
    },
    over_every_transport,
};

use super::*;

over_every_transport![
    h2j_pseudo_fields_that_contradict,
    h2j_pseudo_fields_that_are_missing_or_twice,
    h2j_fields_that_http_2_does_not_have,
    h2j_fields_that_could_break_http_1,
    h2j_paths_that_are_none,
    h2j_lengths_that_are_not_the_bodys,
    h2j_trailers_cannot_change_what_a_request_is,
    h2j_connect_without_a_protocol,
    h2j_the_agents_service_is_not_here,
];

type Field = (&'static str, &'static [u8]);

const METHOD: Field = (":method", b"GET");
const SCHEME: Field = (":scheme", b"http");
const AUTHORITY: Field = (":authority", b"myapp.tunnel.test");
const PATH: Field = (":path", b"/");
const PSEUDO: [Field; 4] = [METHOD, SCHEME, AUTHORITY, PATH];

/// What becomes of a request without a body that has these fields, on a connection of its own.
async fn fate_of(scene: &Scene, fields: &[Field]) -> Fate {
    let mut client = scene.h2().await;
    client.send(frame::headers(1, END_HEADERS | END_STREAM, hpack::block(fields))).await;
    client.fate(1).await
}

/// The same, behind the pseudo-fields of a good request.
async fn fate_with(scene: &Scene, fields: &[Field]) -> Fate {
    fate_of(scene, &[&PSEUDO, fields].concat()).await
}

/// No such request reaches the agent.
async fn assert_malformed(scene: &mut Scene, requests: &[&[Field]]) {
    let served = scene.gateway.metrics().await.outcome("ok");
    for fields in requests {
        let fate = fate_of(scene, fields).await;
        let is_error =
            matches!(fate, Fate::Reset(frame::PROTOCOL_ERROR) | Fate::GoAway(_) | Fate::Status(400));
        assert!(is_error, "{fields:?}: {fate:?}");
    }
    assert_eq!(scene.gateway.metrics().await.outcome("ok"), served);
    scene.assert_over().await;
}

async fn h2j_pseudo_fields_that_contradict(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let bad: [&[Field]; 5] = [
        &[("host", b"other.tunnel.test")],
        &[("host", b"myapp.tunnel.test:80")],
        &[("host", b"")],
        &[("host", b"myapp.tunnel.test"), ("host", b"myapp.tunnel.test")],
        &[("host", b"myapp.tunnel.test"), ("host", b"other.tunnel.test")],
    ];
    for fields in bad {
        assert_eq!(fate_with(&scene, fields).await, Fate::Status(400), "{fields:?}");
    }
    scene.gateway.counted("bad_host", 5).await;
    assert_eq!(fate_with(&scene, &[("host", b"MyApp.tunnel.test")]).await, Fate::Status(200));
    scene.assert_over().await;
}

async fn h2j_pseudo_fields_that_are_missing_or_twice(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let host: Field = ("host", b"myapp.tunnel.test");
    assert_malformed(
        &mut scene,
        &[
            &[SCHEME, AUTHORITY, PATH],
            &[METHOD, AUTHORITY, PATH],
            // With `host` instead of an authority the library takes the path for "/", which has but one reading.
            &[METHOD, SCHEME, AUTHORITY],
            &[METHOD, SCHEME, PATH],
            &[METHOD, METHOD, SCHEME, AUTHORITY, PATH],
            &[METHOD, SCHEME, SCHEME, AUTHORITY, PATH],
            &[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH],
            &[METHOD, SCHEME, AUTHORITY, PATH, PATH],
            &[METHOD, SCHEME, AUTHORITY, PATH, (":path", b"/other")],
            &[METHOD, SCHEME, AUTHORITY, PATH, (":status", b"200")],
            &[METHOD, SCHEME, AUTHORITY, PATH, (":protocol", b"websocket")],
            &[METHOD, SCHEME, AUTHORITY, PATH, (":unknown", b"1")],
            &[METHOD, SCHEME, AUTHORITY, ("x", b"y"), PATH],
            &[host, METHOD, SCHEME, PATH],
        ],
    )
    .await;
}

async fn h2j_fields_that_http_2_does_not_have(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let fields: [Field; 8] = [
        ("transfer-encoding", b"chunked"),
        ("connection", b"close"),
        ("connection", b"x-private"),
        ("keep-alive", b"timeout=5"),
        ("proxy-connection", b"keep-alive"),
        ("upgrade", b"h2c"),
        ("te", b"gzip"),
        ("te", b"trailers, gzip"),
    ];
    let requests = fields.map(|field| [&PSEUDO[..], &[field]].concat());
    assert_malformed(&mut scene, &requests.each_ref().map(Vec::as_slice)).await;
    assert_eq!(fate_with(&scene, &[("te", b"trailers")]).await, Fate::Status(200));
}

async fn h2j_fields_that_could_break_http_1(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let fields: [Field; 12] = [
        ("X-Upper", b"1"),
        ("Host", b"other.tunnel.test"),
        ("x", b"a\r\nx-smuggled: 1"),
        ("x", b"a\nb"),
        ("x", b"a\0b"),
        ("x", b"\r\n\r\nGET /smuggled HTTP/1.1"),
        ("x y", b"1"),
        ("x\r\ny", b"1"),
        ("x:", b"1"),
        ("", b"1"),
        ("transfer-encoding\0", b"chunked"),
        ("x\x7f", b"1"),
    ];
    let requests = fields.map(|field| [&PSEUDO[..], &[field]].concat());
    assert_malformed(&mut scene, &requests.each_ref().map(Vec::as_slice)).await;
    let methods: [Field; 4] =
        [(":method", b"G T"), (":method", b"GET / HTTP/1.1\r\nx: y"), (":method", b""), (":method", b"G\0T")];
    let requests = methods.map(|method| vec![method, SCHEME, AUTHORITY, PATH]);
    assert_malformed(&mut scene, &requests.each_ref().map(Vec::as_slice)).await;
}

async fn h2j_paths_that_are_none(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let paths: [Field; 10] = [
        (":path", b""),
        (":path", b"/a b"),
        (":path", b"/ HTTP/1.1\r\nx: y"),
        (":path", b"/\r\n"),
        (":path", b"/\0"),
        (":path", b"a"),
        (":path", b"@evil.example/"),
        (":path", b":80/"),
        (":path", b"http://myapp.tunnel.test/"),
        (":path", b"*"),
    ];
    let requests = paths.map(|path| vec![METHOD, SCHEME, AUTHORITY, path]);
    assert_malformed(&mut scene, &requests.each_ref().map(Vec::as_slice)).await;
    let requests = paths.map(|path| vec![METHOD, SCHEME, ("host", AUTHORITY.1), path]);
    assert_malformed(&mut scene, &requests.each_ref().map(Vec::as_slice)).await;
    let scheme: [Field; 4] = [(":method", b"GET"), (":scheme", b"ftp"), AUTHORITY, PATH];
    assert_malformed(&mut scene, &[&scheme]).await;
}

async fn h2j_lengths_that_are_not_the_bodys(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    // No body behind a length, two lengths, none that is a number.
    assert_malformed(
        &mut scene,
        &[
            &[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", b"5")],
            &[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", b"0"), ("content-length", b"5")],
            &[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", b"+0")],
            &[METHOD, SCHEME, AUTHORITY, PATH, ("content-length", b"")],
        ],
    )
    .await;
    for body in ["hell", "hello, world"] {
        let mut client = scene.h2().await;
        let (method, other): (Field, Field) = ((":method", b"POST"), (":authority", b"other.tunnel.test"));
        let length: Field = ("content-length", b"5");
        let block = hpack::block(&[method, SCHEME, other, PATH, length]);
        client.send(frame::headers(1, END_HEADERS, block)).await;
        let id = scene.silent.request().await.id;
        client.send(frame::last_data(1, body)).await;
        assert_eq!(client.fate(1).await, Fate::Reset(frame::PROTOCOL_ERROR), "{body}");
        scene.silent.close_of(&id).await;
    }
    scene.assert_over().await;
}

async fn h2j_trailers_cannot_change_what_a_request_is(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = scene.h2().await;
    client.send(post(1, &host_of(OTHER_AGENT))).await;
    let id = scene.silent.request().await.id;
    let trailers: [Field; 6] = [
        (":path", b"/other"),
        ("host", b"evil.example"),
        ("content-length", b"99"),
        ("authorization", b"Basic Og=="),
        ("cookie", b"a=b"),
        ("x-fine", b"1"),
    ];
    let trailers = frame::headers(1, END_HEADERS | END_STREAM, hpack::block(&trailers));
    client.send([frame::data(1, "abc"), trailers].concat()).await;
    let close = scene.silent.wait(|frame| match frame {
        Frame::Close(close) if close.id == id => Some(close),
        _ => None,
    });
    let close = close.await;
    assert_eq!((close.reason(), close.trailers), (Reason::Done, vec![frames::header("x-fine", "1")]));
    scene.silent.send(frames::answer(&id, "thanks"));
    assert_eq!(client.body(1).await.unwrap(), b"thanks");

    let bad: [Field; 2] = [("transfer-encoding", b"chunked"), ("connection", b"close")];
    for field in bad {
        let mut client = scene.h2().await;
        client.send([post(1, &host_of(OTHER_AGENT)), frame::data(1, "abc")].concat()).await;
        let id = scene.silent.request().await.id;
        client.send(frame::headers(1, END_HEADERS | END_STREAM, hpack::block(&[field]))).await;
        assert_eq!(client.fate(1).await, Fate::Reset(frame::PROTOCOL_ERROR), "{field:?}");
        assert_eq!(scene.silent.close_of(&id).await, Reason::Cancelled);
    }
    scene.assert_over().await;
}

async fn h2j_connect_without_a_protocol(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let connect: Field = (":method", b"CONNECT");
    assert_eq!(fate_of(&scene, &[connect, (":authority", b"myapp.tunnel.test:80")]).await, Fate::Status(405));
    scene.gateway.counted("method_not_allowed", 1).await;
    let full = fate_of(&scene, &[connect, SCHEME, AUTHORITY, PATH]).await;
    assert_eq!(full, Fate::Reset(frame::PROTOCOL_ERROR));
    for protocol in [&b"h2c"[..], b"HTTP/2.0", b"http/1.1"] {
        let switch = [connect, (":protocol", protocol), SCHEME, AUTHORITY, PATH];
        assert_eq!(fate_of(&scene, &switch).await, Fate::Status(405));
    }
    scene.gateway.counted("method_not_allowed", 4).await;
    scene.assert_over().await;
}

async fn h2j_the_agents_service_is_not_here(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = scene.h2().await;
    client.send(call(1, "/indranet.tunnel.v1.Tunnel/Attach")).await;
    // As gRPC has it: the error is in `grpc-status`.
    assert_eq!(client.fate(1).await, Fate::Status(200));
    scene.gateway.counted("agent_not_found", 1).await;
    scene.assert_over().await;
}
