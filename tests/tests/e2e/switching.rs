//! What is more than a request and a response: interim answers, switched protocols, deadlines.

use tests::{Head, Request, Transport, Tunnel, Upstream, Wire, over_every_transport};

over_every_transport![
    a_refused_expectation_stops_the_upload_before_it_begins,
    an_unknown_expectation_is_a_417,
    a_switched_connection_carries_bytes_both_ways_and_each_way_ends_by_itself,
    a_refused_switch_is_an_ordinary_response,
    a_client_that_leaves_a_switched_connection_takes_the_service_along,
    a_service_that_breaks_a_switched_connection_is_no_clean_end,
    http_2_is_never_switched_to,
    a_grpc_deadline_is_kept_by_the_gateway_and_travels_on,
    fields_keep_their_order_and_their_repeats,
];

async fn begun(transport: Transport, request: &Request) -> (Tunnel, Wire, Wire, Head) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(request).await;
    let mut service = upstream.accept().await;
    let head = service.reader.head().await;
    (tunnel, client, service, head)
}

fn switch() -> Request {
    Request::get("/chat")
        .field("connection", "Upgrade")
        .field("upgrade", "websocket")
        .field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

async fn switched(transport: Transport) -> (Tunnel, Wire, Wire) {
    let (tunnel, mut client, mut service, head) = begun(transport, &switch()).await;
    assert_eq!(head.value("upgrade"), Some("websocket"));
    assert_eq!(head.value("connection"), Some("upgrade"));
    assert_eq!(head.value("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    service
        .send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        .await;
    let head = client.reader.head().await;
    assert_eq!((head.status(), head.value("upgrade")), (101, Some("websocket")));
    assert_eq!(head.value("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(head.value("content-length").is_none() && head.value("transfer-encoding").is_none());
    (tunnel, client, service)
}

async fn a_refused_expectation_stops_the_upload_before_it_begins(transport: Transport) {
    let request = Request::post("/").field("expect", "100-continue").declaring(1_000_000);
    for status in ["417 Expectation Failed", "401 Unauthorized"] {
        let (tunnel, mut client, mut service, head) = begun(transport, &request).await;
        assert_eq!(head.value("expect"), Some("100-continue"));
        service.send(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nno")).await;
        let response = client.reader.response(&request).await;
        assert_eq!(response.head.status().to_string(), status[..3]);
        assert_eq!(
            response.head.value("connection"),
            Some("close"),
            "where the next request begins is not known"
        );
        assert_eq!(service.reader.rest().await, b"", "no byte of the body was sent");
        tunnel.gateway.idle().await;
    }
}

async fn an_unknown_expectation_is_a_417(transport: Transport) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let response = tunnel.ask(&Request::post("/").field("expect", "miracles").declaring(0)).await;
    assert_eq!(response.head.status(), 417);
    assert_eq!(response.head.value("indranet-error"), Some("expectation_failed"));
}

async fn a_switched_connection_carries_bytes_both_ways_and_each_way_ends_by_itself(transport: Transport) {
    let (tunnel, mut client, mut service) = switched(transport).await;
    client.send(b"\x81\x00\xff not HTTP").await;
    assert_eq!(service.reader.exactly(12).await.unwrap(), b"\x81\x00\xff not HTTP");
    service.send(b"\r\n\r\nanswer").await;
    assert_eq!(client.reader.exactly(10).await.unwrap(), b"\r\n\r\nanswer");
    client.writer.finish().await;
    assert_eq!(service.reader.rest().await, b"", "the client's half ended");
    service.send("last words").await;
    service.writer.finish().await;
    assert_eq!(client.reader.rest().await, b"last words");
    tunnel.gateway.idle().await;
}

async fn a_refused_switch_is_an_ordinary_response(transport: Transport) {
    let (_tunnel, mut client, mut service, _head) = begun(transport, &switch()).await;
    service.send("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nnone").await;
    let response = client.reader.response(&switch()).await;
    assert_eq!((response.head.status(), response.body.as_slice()), (403, &b"none"[..]));
    client.begin(&Request::new("GET", "/").host("nobody.tunnel.test")).await;
    assert_eq!(client.reader.head().await.status(), 404, "the connection is good for more");
}

async fn a_client_that_leaves_a_switched_connection_takes_the_service_along(transport: Transport) {
    let (tunnel, client, mut service) = switched(transport).await;
    client.reset();
    service.closed().await;
    tunnel.gateway.idle().await;
}

async fn a_service_that_breaks_a_switched_connection_is_no_clean_end(transport: Transport) {
    let (tunnel, mut client, service) = switched(transport).await;
    service.reset();
    client.closed().await;
    tunnel.gateway.idle().await;
}

async fn http_2_is_never_switched_to(transport: Transport) {
    let request = Request::get("/")
        .field("connection", "Upgrade, HTTP2-Settings")
        .field("upgrade", "h2c")
        .field("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA");
    let (_tunnel, mut client, mut service, head) = begun(transport, &request).await;
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(head.value(name), None, "{name}");
    }
    service.answer("plain").await;
    assert_eq!(client.reader.response(&request).await.body, b"plain");
}

async fn a_grpc_deadline_is_kept_by_the_gateway_and_travels_on(transport: Transport) {
    let request = Request::post("/pkg.Service/Method")
        .field("content-type", "application/grpc")
        .field("grpc-timeout", "1500m")
        .body("\0\0\0\0\0");
    let (tunnel, mut client, mut service, head) = begun(transport, &request).await;
    assert_eq!(head.value("grpc-timeout"), Some("1500m"));
    let response = client.reader.response(&request).await;
    assert_eq!((response.head.status(), response.head.value("grpc-status")), (200, Some("4")));
    service.reader.rest().await; // the connection to the service ends
    tunnel.gateway.counted("response_timeout", 1).await;
}

async fn fields_keep_their_order_and_their_repeats(transport: Transport) {
    let request = ["x-a: 1", "x-b: 2", "x-a: 3", "x-c: \u{fc}", "x-b: 4"]
        .map(|line| line.split_once(": ").unwrap())
        .into_iter()
        .fold(Request::get("/"), |request, (name, value)| request.field(name, value));
    let (_tunnel, mut client, mut service, head) = begun(transport, &request).await;
    let ours = |head: &Head| -> Vec<(String, Vec<u8>)> {
        head.fields.iter().filter(|(name, _)| name.starts_with("x-") && name.len() == 3).cloned().collect()
    };
    let expected: Vec<(String, Vec<u8>)> =
        [("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("x-c", "\u{fc}"), ("x-b", "4")]
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .to_vec();
    assert_eq!(ours(&head), expected);
    service.send("HTTP/1.1 200 Fine\r\nx-b: 1\r\nx-a: 2\r\nx-b: \u{fc}\r\ncontent-length: 0\r\n\r\n").await;
    let response = client.reader.response(&request).await.head;
    assert_eq!(response.reason(), "Fine");
    let expected: Vec<(String, Vec<u8>)> = [("x-b", "1"), ("x-a", "2"), ("x-b", "\u{fc}")]
        .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
        .to_vec();
    assert_eq!(ours(&response), expected);
}
