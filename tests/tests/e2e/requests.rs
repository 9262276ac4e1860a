//! What a request and its response are made of, besides fields and bodies.

use tests::{Request, Service, Transport, Tunnel, Upstream, Wire, over_every_transport};

over_every_transport![
    every_method_arrives_as_it_was_sent,
    options_for_the_whole_server_arrive,
    the_target_arrives_exactly_as_sent,
    head_keeps_the_length_of_the_body_that_it_leaves_out,
    head_claims_no_length_where_the_service_claims_none,
    no_content_and_not_modified_have_no_body,
    redirects_and_errors_of_the_service_are_passed_on,
    ranges_are_passed_on,
    a_reason_phrase_of_the_services_own_is_kept,
    the_request_id_is_the_same_at_both_ends,
    trailers_of_a_response_arrive_at_a_client_that_takes_them,
    trailers_of_a_response_do_no_harm_to_a_client_that_does_not,
    a_connection_to_the_service_is_used_again_after_trailers,
    trailers_of_a_request_arrive,
    interim_responses_come_before_the_response,
    a_client_that_waits_for_100_continue_gets_it,
    a_client_of_http_1_0_is_served,
    a_service_of_http_1_0_is_served_from,
];

async fn every_method_arrives_as_it_was_sent(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let mut client = tunnel.client().await;
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get"] {
        let response = client.ask(&Request::new(method, "/some/where")).await;
        assert_eq!(response.head.status(), 200, "{method}");
        assert_eq!(response.head.value("x-method"), Some(method));
    }
}

async fn options_for_the_whole_server_arrive(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let response = tunnel.ask(&Request::new("OPTIONS", "*")).await;
    assert_eq!(response.head.value("x-target"), Some("*"));
}

async fn the_target_arrives_exactly_as_sent(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let mut client = tunnel.client().await;
    for target in ["/", "/?", "/a%2Fb//c/../d;v=1?x=1&&y=%20+z=%", "/%ff%00", "//double", "/?next=http://x/"]
    {
        let response = client.ask(&Request::get(target)).await;
        assert_eq!(response.head.value("x-target"), Some(target));
    }
}

/// A tunnel to an upstream whose first request is on the table, and the client that waits for its answer.
async fn asked(transport: Transport, request: &Request) -> (Tunnel, Wire, Wire) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(request).await;
    let mut service = upstream.accept().await;
    assert_eq!(service.request().await.head.value("host"), Some("myapp.tunnel.test"));
    (tunnel, client, service)
}

/// Shows that both connections are where they should be: at the beginning of the next message, and in use again.
async fn still_in_step(client: &mut Wire, service: &mut Wire) {
    let request = Request::get("/next");
    client.begin(&request).await;
    assert_eq!(service.request().await.head.target(), "/next");
    service.answer("in step").await;
    assert_eq!(client.reader.response(&request).await.body, b"in step");
}

async fn head_keeps_the_length_of_the_body_that_it_leaves_out(transport: Transport) {
    let request = Request::new("HEAD", "/");
    let (_tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send("HTTP/1.1 200 OK\r\ncontent-length: 1234567\r\n\r\n").await;
    assert_eq!(client.reader.response(&request).await.head.content_length(), Some(1_234_567));
    still_in_step(&mut client, &mut service).await;
}

async fn head_claims_no_length_where_the_service_claims_none(transport: Transport) {
    let request = Request::new("HEAD", "/");
    let (_tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!(client.reader.response(&request).await.head.content_length(), None);
    still_in_step(&mut client, &mut service).await;
}

async fn no_content_and_not_modified_have_no_body(transport: Transport) {
    let request = Request::get("/");
    let (_tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send("HTTP/1.1 204 No Content\r\nx-kept: 1\r\n\r\n").await;
    let head = client.reader.response(&request).await.head;
    assert_eq!((head.status(), head.value("x-kept")), (204, Some("1")));
    assert_eq!((head.content_length(), head.is_chunked()), (None, false));

    client.begin(&request).await;
    service.request().await;
    service.send("HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\ncontent-length: 99\r\n\r\n").await;
    let head = client.reader.response(&request).await.head;
    assert_eq!((head.status(), head.value("etag")), (304, Some("\"v1\"")));
    // What a length would say here it says of another response; hyper leaves it out.
    assert_ne!(head.content_length(), Some(0));
    assert!(!head.is_chunked());
    still_in_step(&mut client, &mut service).await;
}

async fn redirects_and_errors_of_the_service_are_passed_on(transport: Transport) {
    let request = Request::get("/");
    let (_tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send("HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\n\r\n").await;
    let head = client.reader.response(&request).await.head;
    assert_eq!((head.status(), head.value("location")), (302, Some("http://elsewhere/")));

    client.begin(&request).await;
    service.request().await;
    service.send("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops").await;
    let response = client.reader.response(&request).await;
    assert_eq!((response.head.status(), response.body.as_slice()), (500, &b"oops"[..]));
    assert_eq!(response.head.value("indranet-error"), None, "it is not the gateway's error");
}

async fn ranges_are_passed_on(transport: Transport) {
    let request = Request::get("/").field("range", "bytes=2-4");
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(&request).await;
    let mut service = upstream.accept().await;
    assert_eq!(service.request().await.head.value("range"), Some("bytes=2-4"));
    let head = "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 2-4/10\r\ncontent-length: 3\r\n\r\n";
    service.send(format!("{head}cde")).await;
    let response = client.reader.response(&request).await;
    assert_eq!((response.head.status(), response.body.as_slice()), (206, &b"cde"[..]));
    assert_eq!(response.head.value("content-range"), Some("bytes 2-4/10"));
}

async fn a_reason_phrase_of_the_services_own_is_kept(transport: Transport) {
    let request = Request::get("/");
    let (_tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send("HTTP/1.1 418 Short And Stout\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(client.reader.head().await.reason(), "Short And Stout");
}

async fn the_request_id_is_the_same_at_both_ends(transport: Transport) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::get("/").field("x-request-id", "of-the-client")).await;
    let mut service = upstream.accept().await;
    let head = service.request().await.head;
    service.send("HTTP/1.1 200 OK\r\nx-request-id: of-the-service\r\ncontent-length: 0\r\n\r\n").await;
    let id = client.reader.head().await.value("x-request-id").unwrap().to_owned();
    assert_eq!(head.value("x-request-id"), Some(id.as_str()));
    uuid::Uuid::try_parse(&id).unwrap();
}

const WITH_TRAILERS: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
    3\r\nabc\r\n0\r\nx-sum: 294\r\n\r\n";

async fn trailers_of_a_response_arrive_at_a_client_that_takes_them(transport: Transport) {
    let request = Request::get("/").field("te", "trailers");
    let (tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send(WITH_TRAILERS).await;
    let response = client.reader.response(&request).await;
    assert_eq!(response.head.value("trailer"), Some("x-sum"));
    assert_eq!(response.body, b"abc");
    assert_eq!(response.trailers, [("x-sum".to_owned(), b"294".to_vec())]);
    tunnel.gateway.counted("ok", 1).await;
}

async fn trailers_of_a_response_do_no_harm_to_a_client_that_does_not(transport: Transport) {
    let request = Request::get("/");
    let (tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send(WITH_TRAILERS).await;
    assert_eq!(client.reader.response(&request).await.body, b"abc");
    tunnel.gateway.counted("ok", 1).await;
    assert_eq!(client.ask(&Request::get("/").to("nobody")).await.head.status(), 404, "it is in step");
}

async fn a_connection_to_the_service_is_used_again_after_trailers(transport: Transport) {
    let request = Request::get("/");
    let (_tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send(WITH_TRAILERS).await;
    assert_eq!(client.reader.response(&request).await.body, b"abc");
    still_in_step(&mut client, &mut service).await;
}

async fn trailers_of_a_request_arrive(transport: Transport) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    let request = Request::post("/").field("transfer-encoding", "chunked").field("trailer", "x-sum");
    client.begin(&request).await;
    client.send("3\r\nabc\r\n0\r\nx-sum: 294\r\n\r\n").await;
    let mut service = upstream.accept().await;
    let received = service.request().await;
    assert_eq!(received.body, b"abc");
    assert_eq!(received.trailers, [("x-sum".to_owned(), b"294".to_vec())]);
    service.answer("thanks").await;
    assert_eq!(client.reader.response(&request).await.body, b"thanks");
}

async fn interim_responses_come_before_the_response(transport: Transport) {
    let request = Request::get("/");
    let (_tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send("HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n").await;
    service.send("HTTP/1.1 102 Processing\r\n\r\n").await;
    service.answer("final").await;
    let hints = client.reader.head().await;
    assert_eq!((hints.status(), hints.value("link")), (103, Some("</style.css>")));
    assert_eq!(client.reader.head().await.status(), 102);
    let response = client.reader.response(&request).await;
    assert_eq!((response.head.status(), response.body.as_slice()), (200, &b"final"[..]));
}

async fn a_client_that_waits_for_100_continue_gets_it(transport: Transport) {
    let request = Request::post("/").field("expect", "100-continue").declaring(5);
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(&request).await;
    assert_eq!(client.reader.head().await.status(), 100);
    client.send("hello").await;
    let mut service = upstream.accept().await;
    assert_eq!(service.request().await.body, b"hello");
    service.answer("continued").await;
    assert_eq!(client.reader.response(&request).await.body, b"continued");
}

async fn a_client_of_http_1_0_is_served(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let mut client = tunnel.client().await;
    client.send("POST / HTTP/1.0\r\nhost: myapp.tunnel.test\r\ncontent-length: 5\r\n\r\nhello").await;
    let head = client.reader.head().await;
    assert_eq!((head.status(), head.is_chunked()), (200, false));
    assert_eq!(client.reader.rest().await, b"hello");
}

async fn a_service_of_http_1_0_is_served_from(transport: Transport) {
    let request = Request::get("/");
    let (_tunnel, mut client, mut service) = asked(transport, &request).await;
    service.send("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nto the end of the connection").await;
    drop(service);
    let response = client.reader.response(&request).await;
    assert_eq!(response.body, b"to the end of the connection");
}
