//! Which fields cross the tunnel, and which are the tunnel's own.

use tests::{Head, Request, Service, Transport, Tunnel, Upstream, Wire, over_every_transport};

over_every_transport![
    repeated_fields_keep_their_order_both_ways,
    octets_beyond_ascii_survive_both_ways,
    empty_values_survive_both_ways,
    fields_of_one_hop_stay_on_it,
    te_trailers_is_the_one_te_that_crosses,
    the_host_is_kept_as_the_client_wrote_it,
    the_service_is_told_who_the_client_is,
    what_a_client_says_of_itself_is_not_believed,
    a_service_cannot_speak_for_the_gateway,
    a_large_head_crosses_both_ways,
    a_request_head_over_the_limits_is_refused_alone,
    a_response_head_over_the_limits_is_refused_alone,
];

/// Sends a request, answers it with `response`, and returns the heads that arrived: at the service and at the client.
async fn across(transport: Transport, request: &Request, response: &[u8]) -> (Head, Head) {
    let (_tunnel, mut client, mut service, request_head) = asked(transport, request).await;
    service.send(response).await;
    (request_head, client.reader.head().await)
}

async fn asked(transport: Transport, request: &Request) -> (Tunnel, Wire, Wire, Head) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(request).await;
    let mut service = upstream.accept().await;
    let head = service.request().await.head;
    (tunnel, client, service, head)
}

async fn repeated_fields_keep_their_order_both_ways(transport: Transport) {
    let request =
        Request::get("/").field("x-many", "c").field("x-one", "1").field("x-many", "a").field("x-many", "b");
    let response =
        b"HTTP/1.1 200 OK\r\nset-cookie: z=1\r\nx-one: 1\r\nset-cookie: a=2; Path=/\r\nset-cookie: z=1\r\n\
        content-length: 0\r\n\r\n";
    let (at_service, at_client) = across(transport, &request, response).await;
    assert_eq!(at_service.values("x-many"), [b"c", b"a", b"b"]);
    assert_eq!(at_client.values("set-cookie"), [&b"z=1"[..], b"a=2; Path=/", b"z=1"]);
}

async fn octets_beyond_ascii_survive_both_ways(transport: Transport) {
    let odd = b"caf\xe9 \xff\x80 \xe2\x82\xac\ttab";
    let mut response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-odd: ".to_vec();
    response.extend_from_slice(odd);
    response.extend_from_slice(b"\r\n\r\n");
    let (at_service, at_client) = across(transport, &Request::get("/").field("x-odd", odd), &response).await;
    assert_eq!(at_service.values("x-odd"), [odd]);
    assert_eq!(at_client.values("x-odd"), [odd]);
}

async fn empty_values_survive_both_ways(transport: Transport) {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-empty:\r\n\r\n";
    let (at_service, at_client) = across(transport, &Request::get("/").field("x-empty", ""), response).await;
    assert_eq!(at_service.value("x-empty"), Some(""));
    assert_eq!(at_client.value("x-empty"), Some(""));
}

async fn fields_of_one_hop_stay_on_it(transport: Transport) {
    let request = Request::get("/")
        .field("connection", "keep-alive, X-Private")
        .field("connection", "x-also-private")
        .field("x-private", "1")
        .field("x-also-private", "2")
        .field("keep-alive", "timeout=5")
        .field("proxy-connection", "keep-alive")
        .field("te", "gzip")
        .field("upgrade", "h2c")
        .field("x-public", "3");
    let response = b"HTTP/1.1 200 OK\r\nconnection: x-private\r\nx-private: 1\r\nkeep-alive: timeout=5\r\n\
        proxy-connection: keep-alive\r\nupgrade: h2c\r\nx-public: 3\r\ncontent-length: 0\r\n\r\n";
    let (at_service, at_client) = across(transport, &request, response).await;
    for name in
        ["x-private", "x-also-private", "keep-alive", "proxy-connection", "te", "upgrade", "connection"]
    {
        assert_eq!(at_service.value(name), None, "{name}");
        assert_eq!(at_client.value(name), None, "{name}");
    }
    assert_eq!(at_service.value("x-public"), Some("3"));
    assert_eq!(at_client.value("x-public"), Some("3"));
}

async fn te_trailers_is_the_one_te_that_crosses(transport: Transport) {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (at_service, _) = across(transport, &Request::get("/").field("te", "trailers"), response).await;
    assert_eq!(at_service.value("te"), Some("trailers"));
}

async fn the_host_is_kept_as_the_client_wrote_it(transport: Transport) {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (at_service, _) =
        across(transport, &Request::get("/").host("MyApp.Tunnel.Test:8082"), response).await;
    assert_eq!(at_service.value("host"), Some("MyApp.Tunnel.Test:8082"));
}

async fn the_service_is_told_who_the_client_is(transport: Transport) {
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (at_service, _) = across(transport, &Request::get("/"), response).await;
    assert_about_client(&at_service);
}

async fn what_a_client_says_of_itself_is_not_believed(transport: Transport) {
    let request = Request::get("/")
        .field("x-forwarded-for", "203.0.113.9")
        .field("x-forwarded-proto", "https")
        .field("x-forwarded-host", "bank.example")
        .field("forwarded", "for=203.0.113.9;proto=https;host=bank.example");
    let response = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let (at_service, _) = across(transport, &request, response).await;
    assert_about_client(&at_service);
}

fn assert_about_client(head: &Head) {
    assert_eq!(head.value("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(head.value("x-forwarded-proto"), Some("http"));
    assert_eq!(head.value("x-forwarded-host"), Some("myapp.tunnel.test"));
    assert_eq!(head.value("forwarded"), Some("for=127.0.0.1;host=\"myapp.tunnel.test\";proto=http"));
}

async fn a_service_cannot_speak_for_the_gateway(transport: Transport) {
    let response = b"HTTP/1.1 502 Bad Gateway\r\nindranet-error: tunnel_lost\r\ncontent-length: 0\r\n\r\n";
    let (_, at_client) = across(transport, &Request::get("/"), response).await;
    assert_eq!((at_client.status(), at_client.value("indranet-error")), (502, None));
}

async fn a_large_head_crosses_both_ways(transport: Transport) {
    let value = "v".repeat(700);
    let mut request = Request::get("/");
    let mut response = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_owned();
    for index in 0..80 {
        request = request.field(&format!("x-{index}"), &value);
        response.push_str(&format!("x-{index}: {value}\r\n"));
    }
    response.push_str("\r\n");
    let (at_service, at_client) = across(transport, &request, response.as_bytes()).await;
    for index in 0..80 {
        assert_eq!(at_service.value(&format!("x-{index}")), Some(value.as_str()));
        assert_eq!(at_client.value(&format!("x-{index}")), Some(value.as_str()));
    }
}

async fn a_request_head_over_the_limits_is_refused_alone(transport: Transport) {
    let service = Service::saying("well").await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let many = (0..150).fold(Request::get("/"), |request, index| request.field(&format!("x-{index}"), "1"));
    let large = Request::get("/").field("x-large", "v".repeat(80 * 1024));
    for request in [many, large] {
        let mut client = tunnel.client().await;
        // The gateway may close before it has read all of it.
        let _ = client.writer.try_send(request.bytes()).await;
        assert_eq!(client.reader.head().await.status(), 431);
    }
    assert_eq!(tunnel.ask(&Request::get("/")).await.body, b"well");
    tunnel.gateway.idle().await;
}

async fn a_response_head_over_the_limits_is_refused_alone(transport: Transport) {
    let many: String = (0..150).map(|index| format!("x-{index}: 1\r\n")).collect();
    let large = format!("x-large: {}\r\n", "v".repeat(80 * 1024));
    for fields in [many, large] {
        let (tunnel, mut client, mut service, _head) = asked(transport, &Request::get("/")).await;
        // The agent may close before it has read all of it.
        let response = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n");
        let _ = service.writer.try_send(response).await;
        let head = client.reader.head().await;
        assert_eq!((head.status(), head.value("indranet-error")), (502, Some("upstream_bad_response")));
        tunnel.gateway.idle().await;
    }
}
