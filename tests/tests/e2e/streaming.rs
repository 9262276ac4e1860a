//! Bytes cross as they come, and one slow exchange is nobody else's trouble.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use hyper::{Request as HyperRequest, body::Incoming};
use tests::{Chunk, Request, Service, Transport, Tunnel, Upstream, Wire, noise, over_every_transport};
use tokio::{sync::Notify, time};

over_every_transport![
    each_event_arrives_before_the_next_is_sent,
    a_download_starts_before_its_source_has_finished,
    an_upload_starts_before_its_source_has_finished,
    both_directions_of_one_exchange_flow_at_once,
    readers_that_stall_hold_up_nobody_else,
    an_upload_that_stalls_holds_up_nobody_else,
    an_upload_may_take_longer_than_the_response_limit,
    a_download_may_take_longer_than_the_response_limit,
    the_response_limit_begins_with_the_end_of_the_upload,
    an_early_response_reaches_a_client_that_still_uploads,
];

const MIB: usize = 1024 * 1024;

/// A tunnel to an upstream that has just read the head of `request`, whose body it has not.
async fn begun(transport: Transport, request: &Request, limit: Duration) -> (Tunnel, Wire, Wire) {
    let upstream = Upstream::start().await;
    let tunnel =
        Tunnel::start_with(transport, upstream.addr(), |limits| limits.response_timeout = limit).await;
    let mut client = tunnel.client().await;
    client.begin(request).await;
    let mut service = upstream.accept().await;
    service.reader.head().await;
    (tunnel, client, service)
}

const TEN_SECONDS: Duration = Duration::from_secs(10);

async fn each_event_arrives_before_the_next_is_sent(transport: Transport) {
    let (_tunnel, mut client, mut service) = begun(transport, &Request::get("/events"), TEN_SECONDS).await;
    service
        .send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    assert_eq!(client.reader.head().await.value("content-type"), Some("text/event-stream"));
    for number in 0..50 {
        let event = format!("data: {number}\n\n");
        service.writer.chunk(&event).await;
        assert_eq!(client.reader.chunk().await, Some(Chunk::Data(event.into_bytes())));
    }
    service.writer.last_chunk().await;
    assert_eq!(client.reader.chunk().await, Some(Chunk::Last(Vec::new())));
}

async fn a_download_starts_before_its_source_has_finished(transport: Transport) {
    let (_tunnel, mut client, mut service) = begun(transport, &Request::get("/"), TEN_SECONDS).await;
    let body = noise(2 * MIB);
    service.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len())).await;
    assert_eq!(client.reader.head().await.content_length(), Some(body.len()));
    for half in body.chunks(MIB) {
        let (received, ()) = tokio::join!(client.reader.exactly(MIB), service.writer.send(half));
        assert!(received.as_deref() == Some(half));
    }
}

async fn an_upload_starts_before_its_source_has_finished(transport: Transport) {
    let request = Request::post("/").field("transfer-encoding", "chunked");
    let (_tunnel, mut client, mut service) = begun(transport, &request, TEN_SECONDS).await;
    for number in 0..50 {
        let part = format!("part {number}").into_bytes();
        client.writer.chunk(&part).await;
        assert_eq!(service.reader.chunk().await, Some(Chunk::Data(part)));
    }
    client.writer.last_chunk().await;
    assert_eq!(service.reader.chunk().await, Some(Chunk::Last(Vec::new())));
    service.answer("all of it").await;
    assert_eq!(client.reader.response(&request).await.body, b"all of it");
}

async fn both_directions_of_one_exchange_flow_at_once(transport: Transport) {
    let request = Request::post("/").field("transfer-encoding", "chunked");
    let (_tunnel, mut client, mut service) = begun(transport, &request, TEN_SECONDS).await;
    service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.reader.head().await;
    for number in 0..50 {
        let ball = format!("ball {number}").into_bytes();
        client.writer.chunk(&ball).await;
        assert_eq!(service.reader.chunk().await, Some(Chunk::Data(ball.clone())));
        service.writer.chunk(&ball).await;
        assert_eq!(client.reader.chunk().await, Some(Chunk::Data(ball)));
    }
}

async fn readers_that_stall_hold_up_nobody_else(transport: Transport) {
    // More than all buffers on the way hold together.
    let body = noise(32 * MIB);
    let large = body.clone();
    let service = Service::start(move |request: HyperRequest<Incoming>| {
        let body = if request.uri().path() == "/large" { large.clone() } else { b"small".to_vec() };
        async move { Service::text(body) }
    })
    .await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut client = tunnel.client().await;
        client.begin(&Request::get("/large")).await;
        let head = client.reader.head().await;
        stalled.push((client, head));
    }
    let mut client = tunnel.client().await;
    for _ in 0..100 {
        assert_eq!(client.ask(&Request::get("/")).await.body, b"small");
    }
    assert_eq!(tunnel.gateway.metrics().await.in_flight(), 4, "the stalled ones were not given up");
    let (mut client, head) = stalled.swap_remove(0);
    let (received, _trailers) = client.reader.body(&head).await.unwrap();
    assert!(received == body, "what waited arrives unharmed");
}

async fn an_upload_that_stalls_holds_up_nobody_else(transport: Transport) {
    let gate = Arc::new(Notify::new());
    let opened = Arc::clone(&gate);
    let service = Service::start(move |request: HyperRequest<Incoming>| {
        let gate = Arc::clone(&opened);
        async move {
            if request.uri().path() == "/small" {
                return Service::text("small");
            }
            gate.notified().await;
            Service::text(request.into_body().collect().await.unwrap().to_bytes().len().to_string())
        }
    })
    .await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let mut uploader = tunnel.client().await;
    let upload = Request::post("/upload").body(noise(32 * MIB));
    let stalled = tokio::spawn(async move { uploader.ask(&upload).await });
    let mut client = tunnel.client().await;
    for _ in 0..100 {
        assert_eq!(client.ask(&Request::get("/small")).await.body, b"small");
    }
    gate.notify_one();
    let response = stalled.await.unwrap();
    assert_eq!(response.body, (32 * MIB).to_string().into_bytes());
}

/// Long enough for a machine on which everything is tested at once.
const SHORT: Duration = Duration::from_secs(1);

async fn an_upload_may_take_longer_than_the_response_limit(transport: Transport) {
    let request = Request::post("/").field("transfer-encoding", "chunked");
    let (_tunnel, mut client, mut service) = begun(transport, &request, SHORT).await;
    let mut ticks = time::interval(SHORT / 3);
    for number in 0..9 {
        ticks.tick().await;
        let part = format!("part {number}").into_bytes();
        client.writer.chunk(&part).await;
        assert_eq!(service.reader.chunk().await, Some(Chunk::Data(part)));
    }
    client.writer.last_chunk().await;
    assert_eq!(service.reader.chunk().await, Some(Chunk::Last(Vec::new())));
    service.answer("patient").await;
    assert_eq!(client.reader.response(&request).await.body, b"patient");
}

async fn a_download_may_take_longer_than_the_response_limit(transport: Transport) {
    let (_tunnel, mut client, mut service) = begun(transport, &Request::get("/"), SHORT).await;
    service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.reader.head().await;
    let mut ticks = time::interval(SHORT / 3);
    for number in 0..9 {
        ticks.tick().await;
        let part = format!("part {number}").into_bytes();
        service.writer.chunk(&part).await;
        assert_eq!(client.reader.chunk().await, Some(Chunk::Data(part)));
    }
}

async fn the_response_limit_begins_with_the_end_of_the_upload(transport: Transport) {
    let request = Request::post("/").field("transfer-encoding", "chunked");
    let (_tunnel, mut client, mut service) = begun(transport, &request, SHORT).await;
    client.writer.chunk("all there is").await;
    let ended = time::Instant::now();
    client.writer.last_chunk().await;
    let head = client.reader.head().await;
    assert_eq!((head.status(), head.value("indranet-error")), (504, Some("response_timeout")));
    assert!(ended.elapsed() >= SHORT - Duration::from_millis(50), "{:?}", ended.elapsed());
    service.closed().await;
}

async fn an_early_response_reaches_a_client_that_still_uploads(transport: Transport) {
    let request = Request::post("/").declaring(64 * MIB);
    let (tunnel, mut client, mut service) = begun(transport, &request, TEN_SECONDS).await;
    service.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 8\r\n\r\ntoo much").await;
    let upload = async {
        // Goes on until it is told, or the gateway closes the connection.
        let body = vec![b'x'; MIB];
        while client.writer.try_send(&body).await.is_ok() {}
    };
    let response = async {
        let response = client.reader.response(&request).await;
        client.reader.rest().await;
        response
    };
    let ((), response) = tokio::join!(upload, response);
    assert_eq!((response.head.status(), response.body.as_slice()), (413, &b"too much"[..]));
    service.closed().await;
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("ok", 1).await;
}
