//! Local services that are not there, do not answer, or break off.

use std::time::Duration;

use tests::{Head, Request, Service, Transport, Tunnel, Upstream, Wire, over_every_transport};

over_every_transport![
    a_service_that_is_not_there_is_a_502,
    the_error_comes_in_the_form_that_the_client_asks_for,
    a_service_that_speaks_another_protocol_is_a_502,
    a_service_that_hangs_up_without_an_answer_is_a_502,
    a_service_that_breaks_off_in_the_middle_of_its_head_is_a_502,
    a_service_that_switches_protocols_unasked_is_a_502,
    a_silent_service_is_a_504_and_its_connection_is_closed,
    a_service_that_dies_short_of_its_declared_length_is_not_a_clean_end,
    a_service_that_dies_before_its_last_chunk_is_not_a_clean_end,
    a_service_that_resets_an_undelimited_body_is_not_a_clean_end,
    a_service_that_is_silent_in_the_middle_of_a_body_is_given_up,
    what_a_service_says_after_its_response_goes_to_nobody,
    trouble_with_one_request_is_not_trouble_with_another,
];

async fn begun(transport: Transport) -> (Tunnel, Wire, Wire) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::get("/")).await;
    let mut service = upstream.accept().await;
    service.request().await;
    (tunnel, client, service)
}

fn assert_error(head: &Head, status: u16, code: &str) {
    assert_eq!((head.status(), head.value("indranet-error")), (status, Some(code)));
    uuid::Uuid::try_parse(head.value("x-request-id").unwrap()).unwrap();
}

async fn assert_bad_response(tunnel: &Tunnel, mut client: Wire) {
    let response = client.reader.response(&Request::get("/")).await;
    assert_error(&response.head, 502, "upstream_bad_response");
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("upstream_bad_response", 1).await;
}

async fn a_service_that_is_not_there_is_a_502(transport: Transport) {
    let nowhere = Upstream::nowhere();
    let tunnel = Tunnel::start(transport, nowhere).await;
    let response = tunnel.ask(&Request::get("/")).await;
    assert_error(&response.head, 502, "upstream_refused");
    let text = String::from_utf8(response.body).unwrap();
    assert!(text.starts_with("502 upstream_refused: "), "{text}");
    assert!(
        !text.contains(&nowhere.port().to_string()),
        "where the service is, is nobody's business: {text}"
    );
    tunnel.gateway.counted("upstream_refused", 1).await;
}

async fn the_error_comes_in_the_form_that_the_client_asks_for(transport: Transport) {
    let tunnel = Tunnel::start(transport, Upstream::nowhere()).await;
    let mut client = tunnel.client().await;
    for (accept, content_type, beginning) in [
        ("application/json", "application/problem+json", "{"),
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8", "<!"),
        ("*/*", "text/plain; charset=utf-8", "502 "),
    ] {
        let response = client.ask(&Request::get("/").field("accept", accept)).await;
        assert_error(&response.head, 502, "upstream_refused");
        assert_eq!(response.head.value("content-type"), Some(content_type));
        assert!(response.body.starts_with(beginning.as_bytes()), "{accept}");
    }
    let head = client.ask(&Request::new("HEAD", "/")).await.head;
    assert_error(&head, 502, "upstream_refused");
}

async fn a_service_that_speaks_another_protocol_is_a_502(transport: Transport) {
    let (tunnel, client, mut service) = begun(transport).await;
    service.send("SSH-2.0-OpenSSH_9.9\r\n").await;
    assert_bad_response(&tunnel, client).await;
}

async fn a_service_that_hangs_up_without_an_answer_is_a_502(transport: Transport) {
    let (tunnel, client, service) = begun(transport).await;
    drop(service);
    assert_bad_response(&tunnel, client).await;
}

async fn a_service_that_breaks_off_in_the_middle_of_its_head_is_a_502(transport: Transport) {
    let (tunnel, client, mut service) = begun(transport).await;
    service.send("HTTP/1.1 200 OK\r\ncontent-le").await;
    drop(service);
    assert_bad_response(&tunnel, client).await;
}

async fn a_service_that_switches_protocols_unasked_is_a_502(transport: Transport) {
    let (tunnel, client, mut service) = begun(transport).await;
    service.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: whim\r\n\r\n").await;
    assert_bad_response(&tunnel, client).await;
    service.closed().await;
}

async fn a_silent_service_is_a_504_and_its_connection_is_closed(transport: Transport) {
    let upstream = Upstream::start().await;
    let limit = Duration::from_secs(1);
    let tunnel =
        Tunnel::start_with(transport, upstream.addr(), |limits| limits.response_timeout = limit).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::get("/")).await;
    let mut service = upstream.accept().await;
    service.request().await;
    let response = client.reader.response(&Request::get("/")).await;
    assert_error(&response.head, 504, "response_timeout");
    service.closed().await;
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("response_timeout", 1).await;

    let another = Request::get("/").to("nobody");
    assert_eq!(client.ask(&another).await.head.status(), 404, "the connection is good for more");
}

/// The connection ends, and that cannot be taken for the clean end of a body of declared length.
async fn assert_truncated(tunnel: &Tunnel, mut client: Wire) {
    assert_eq!(client.reader.rest().await, b"");
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("truncated", 1).await;
}

/// A thousand bytes are declared, and the first thirteen have come.
async fn begins(client: &mut Wire, service: &mut Wire) {
    service.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nthe beginning").await;
    assert_eq!(client.reader.head().await.content_length(), Some(1000));
    assert_eq!(client.reader.exactly(13).await.unwrap(), b"the beginning");
}

async fn a_service_that_dies_short_of_its_declared_length_is_not_a_clean_end(transport: Transport) {
    let (tunnel, mut client, mut service) = begun(transport).await;
    begins(&mut client, &mut service).await;
    drop(service);
    assert_truncated(&tunnel, client).await;
}

async fn a_service_that_dies_before_its_last_chunk_is_not_a_clean_end(transport: Transport) {
    let (tunnel, mut client, mut service) = begun(transport).await;
    service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    service.writer.chunk("the beginning").await;
    let head = client.reader.head().await;
    assert!(head.is_chunked());
    assert!(client.reader.chunk().await.is_some());
    drop(service);
    assert_eq!(client.reader.chunk().await, None);
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("truncated", 1).await;
}

async fn a_service_that_resets_an_undelimited_body_is_not_a_clean_end(transport: Transport) {
    let (tunnel, mut client, mut service) = begun(transport).await;
    service.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nthe beginning").await;
    client.reader.head().await;
    assert!(client.reader.chunk().await.is_some());
    service.reset();
    assert_eq!(client.reader.chunk().await, None);
    tunnel.gateway.idle().await;
    tunnel.gateway.counted("truncated", 1).await;
}

async fn a_service_that_is_silent_in_the_middle_of_a_body_is_given_up(transport: Transport) {
    let upstream = Upstream::start().await;
    let limit = Duration::from_millis(200);
    let tunnel =
        Tunnel::start_with(transport, upstream.addr(), |limits| limits.terms.idle_timeout = limit).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::get("/")).await;
    let mut service = upstream.accept().await;
    service.request().await;
    begins(&mut client, &mut service).await;
    assert_truncated(&tunnel, client).await;
    service.closed().await;
}

async fn what_a_service_says_after_its_response_goes_to_nobody(transport: Transport) {
    let (tunnel, mut client, mut service) = begun(transport).await;
    let stray = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstray";
    service.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst{stray}")).await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"first");
    // A connection that says more than it was asked is not used again.
    service.closed().await;
    tunnel.gateway.counted("ok", 1).await;
}

async fn trouble_with_one_request_is_not_trouble_with_another(transport: Transport) {
    let service = Service::saying("well").await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let upstream = Upstream::start().await;
    let mut other =
        tests::Agent::start(transport, tunnel.gateway.port(transport), tests::OTHER_AGENT, upstream.addr());
    other.online().await;
    for _ in 0..10 {
        let mut client = tunnel.client().await;
        client.begin(&Request::get("/").to(tests::OTHER_AGENT)).await;
        let mut dying = upstream.accept().await;
        dying.request().await;
        drop(dying);
        assert_eq!(client.reader.head().await.status(), 502);
        assert_eq!(tunnel.ask(&Request::get("/")).await.body, b"well");
    }
}
