//! Clients that leave before their exchange is over.

use std::time::Duration;

use tests::{Chunk, Request, Transport, Tunnel, Upstream, Wire, Writer, over_every_transport};
use tokio::time::timeout;

over_every_transport![
    a_client_that_leaves_before_the_head_takes_its_request_along,
    a_client_that_leaves_in_the_middle_of_a_body_takes_its_request_along,
    a_client_that_leaves_in_the_middle_of_its_upload_takes_its_request_along,
    a_client_that_leaves_behind_a_stalled_upload_takes_its_request_along,
    a_client_that_leaves_behind_a_stalled_download_takes_its_request_along,
    a_client_that_breaks_its_connection_takes_its_request_along,
    a_client_that_leaves_between_requests_is_no_loss,
    clients_that_leave_do_not_disturb_those_that_stay,
];

async fn begun(transport: Transport, request: &Request) -> (Tunnel, Wire, Wire) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(request).await;
    let mut service = upstream.accept().await;
    service.reader.head().await;
    (tunnel, client, service)
}

/// The service sees its connection closed, and the request is counted for what it was.
async fn assert_cancelled(tunnel: &Tunnel, mut service: Wire) {
    service.closed().await;
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("client_cancelled", 1).await;
}

async fn a_client_that_leaves_before_the_head_takes_its_request_along(transport: Transport) {
    let (tunnel, client, service) = begun(transport, &Request::get("/")).await;
    drop(client);
    assert_cancelled(&tunnel, service).await;
}

async fn a_client_that_leaves_in_the_middle_of_a_body_takes_its_request_along(transport: Transport) {
    let (tunnel, mut client, mut service) = begun(transport, &Request::get("/")).await;
    service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    service.writer.chunk("beginning").await;
    client.reader.head().await;
    assert_eq!(client.reader.chunk().await, Some(Chunk::Data(b"beginning".to_vec())));
    drop(client);
    assert_cancelled(&tunnel, service).await;
}

async fn a_client_that_leaves_in_the_middle_of_its_upload_takes_its_request_along(transport: Transport) {
    let (tunnel, mut client, mut service) = begun(transport, &Request::post("/").declaring(1000)).await;
    client.send("the beginning").await;
    assert_eq!(service.reader.exactly(13).await.unwrap(), b"the beginning");
    drop(client);
    assert_cancelled(&tunnel, service).await;
}

/// Sends until every buffer on the way is full, so that nothing moves any more.
async fn fill(writer: &mut Writer) {
    let body = vec![b'x'; 1 << 20];
    while let Ok(sent) = timeout(Duration::from_millis(300), writer.try_send(&body)).await {
        sent.unwrap();
    }
}

async fn a_client_that_leaves_behind_a_stalled_upload_takes_its_request_along(transport: Transport) {
    let (tunnel, mut client, service) = begun(transport, &Request::post("/").declaring(1 << 30)).await;
    fill(&mut client.writer).await; // the service reads nothing
    drop(client);
    assert_cancelled(&tunnel, service).await;
}

async fn a_client_that_leaves_behind_a_stalled_download_takes_its_request_along(transport: Transport) {
    let (tunnel, client, mut service) = begun(transport, &Request::get("/")).await;
    service.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1 << 30)).await;
    fill(&mut service.writer).await; // the client reads nothing
    drop(client);
    assert_cancelled(&tunnel, service).await;
}

async fn a_client_that_breaks_its_connection_takes_its_request_along(transport: Transport) {
    let (tunnel, client, service) = begun(transport, &Request::get("/")).await;
    client.reset();
    assert_cancelled(&tunnel, service).await;
}

async fn a_client_that_leaves_between_requests_is_no_loss(transport: Transport) {
    let (tunnel, mut client, mut service) = begun(transport, &Request::get("/")).await;
    service.answer("first").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"first");
    drop(client);
    // The connection behind the tunnel is not the client's.
    let mut client = tunnel.client().await;
    client.begin(&Request::get("/")).await;
    service.request().await;
    service.answer("second").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"second");
    tunnel.gateway.counted("ok", 2).await;
    assert_eq!(tunnel.gateway.metrics().await.outcome("client_cancelled"), 0);
}

async fn clients_that_leave_do_not_disturb_those_that_stay(transport: Transport) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::get("/stays")).await;
    let mut service = upstream.accept().await;
    service.request().await;
    for _ in 0..20 {
        let mut leaver = tunnel.client().await;
        leaver.begin(&Request::get("/leaves")).await;
        let mut service = upstream.accept().await;
        service.request().await;
        drop(leaver);
        service.closed().await;
    }
    service.answer("still here").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"still here");
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("client_cancelled", 20).await;
}
