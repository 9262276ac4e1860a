//! Requests that two readers could take for different ones. They get 400, or are read in the one safe way and end their
//! connection; never does a part of one become a request of its own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use http_body_util::BodyExt as _;
use hyper::{Request as HyperRequest, body::Incoming};
use tests::{Request, Service, Transport, Tunnel, over_every_transport};

over_every_transport![
    ambiguous_framing_never_makes_two_requests_of_one,
    malformed_heads_are_refused,
    malformed_chunks_end_the_connection_and_never_the_body_cleanly,
    trailers_of_a_request_cannot_change_what_it_is,
];

/// What is hidden in the body, for a reader who ends it too early.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\r\n";

/// A service that counts whole requests, and those among them that nobody sent.
async fn counting() -> (Service, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let [whole, smuggled] = counts.clone();
    let service = Service::start(move |request: HyperRequest<Incoming>| {
        let (whole, smuggled) = (Arc::clone(&whole), Arc::clone(&smuggled));
        async move {
            if request.uri().path() == "/smuggled" {
                smuggled.fetch_add(1, SeqCst);
            }
            if request.into_body().collect().await.is_ok() {
                whole.fetch_add(1, SeqCst);
            }
            Service::text("counted")
        }
    })
    .await;
    let [whole, smuggled] = counts;
    (service, whole, smuggled)
}

/// Sends bytes on a connection of their own. Returns the status of the first answer, if there is one, and how many
/// answers there are in all.
async fn answers(tunnel: &Tunnel, bytes: &[u8]) -> (Option<u16>, usize) {
    let mut client = tunnel.client().await;
    // The gateway may have read enough before it has read all.
    let _ = client.writer.try_send(bytes).await;
    client.writer.finish().await;
    let all = String::from_utf8_lossy(&client.reader.rest().await).into_owned();
    let first = all.strip_prefix("HTTP/1.1 ").map(|rest| rest[..3].parse().unwrap());
    // Bodies may name the version as well.
    (first, all.matches("HTTP/1.1 ").count() - all.matches("HTTP/1.1 and").count())
}

async fn ambiguous_framing_never_makes_two_requests_of_one(transport: Transport) {
    let (service, _whole, smuggled) = counting().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let chunked = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let terminated = format!("0\r\n\r\n{SMUGGLED}");
    for (fields, body) in [
        (format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", terminated.len()), &terminated),
        ("transfer-encoding: chunked\r\ncontent-length: 4\r\n".to_owned(), &chunked),
        ("content-length: 0\r\ncontent-length: 99\r\n".to_owned(), &chunked),
        ("content-length: 0, 99\r\n".to_owned(), &chunked),
        ("content-length: +5\r\n".to_owned(), &chunked),
        ("content-length: 18446744073709551621\r\n".to_owned(), &chunked),
        ("content-length:\r\n".to_owned(), &chunked),
        ("transfer-encoding: xchunked\r\n".to_owned(), &chunked),
        ("transfer-encoding: identity\r\n".to_owned(), &chunked),
        ("transfer-encoding: \"chunked\"\r\n".to_owned(), &chunked),
        ("transfer-encoding: chunked, cow\r\n".to_owned(), &chunked),
        ("transfer-encoding: \x0bchunked\r\n".to_owned(), &chunked),
        ("transfer-encoding : chunked\r\n".to_owned(), &chunked),
        ("transfer-encoding:\r\n chunked\r\n".to_owned(), &chunked),
        ("x: y\rtransfer-encoding: chunked\r\n".to_owned(), &chunked),
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n{fields}\r\n{body}");
        let (status, count) = answers(&tunnel, request.as_bytes()).await;
        assert!(count <= 1, "{count} answers to {fields:?}");
        assert!(matches!(status, None | Some(200 | 400)), "{status:?} to {fields:?}");
    }
    tunnel.gateway.idle().await;
    assert_eq!(smuggled.load(SeqCst), 0);
}

async fn malformed_heads_are_refused(transport: Transport) {
    let (service, whole, _smuggled) = counting().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    for head in [
        "GET / HTTP/1.2\r\nhost: myapp.tunnel.test\r\n\r\n",
        "GET / HTTP/2.0\r\nhost: myapp.tunnel.test\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\nx y: z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\nx: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\nx: a\0b\r\n\r\n",
        "G\0T / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: myapp.tunnel.test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        assert_eq!(answers(&tunnel, head.as_bytes()).await, (Some(400), 1), "{head:?}");
    }
    assert_eq!(whole.load(SeqCst), 0);
}

async fn malformed_chunks_end_the_connection_and_never_the_body_cleanly(transport: Transport) {
    let (service, whole, smuggled) = counting().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    for body in [
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
    ] {
        let head = "POST / HTTP/1.1\r\nhost: myapp.tunnel.test\r\ntransfer-encoding: chunked\r\n\r\n";
        let (status, count) = answers(&tunnel, format!("{head}{body}{SMUGGLED}").as_bytes()).await;
        assert!(count <= 1, "{body:?}");
        assert!(matches!(status, None | Some(400)), "{status:?} to {body:?}");
    }
    tunnel.gateway.idle().await;
    assert_eq!((whole.load(SeqCst), smuggled.load(SeqCst)), (0, 0));
    assert_eq!(tunnel.ask(&Request::get("/")).await.body, b"counted");
}

async fn trailers_of_a_request_cannot_change_what_it_is(transport: Transport) {
    let upstream = tests::Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    let names = "host, content-length, transfer-encoding, authorization, x-fine";
    client.begin(&Request::post("/").field("transfer-encoding", "chunked").field("trailer", names)).await;
    let trailers = "host: evil.example\r\ncontent-length: 99\r\ntransfer-encoding: chunked\r\n\
        authorization: Basic Og==\r\nx-fine: 1\r\n";
    client.send(format!("3\r\nabc\r\n0\r\n{trailers}\r\n")).await;
    let mut service = upstream.accept().await;
    let request = service.request().await;
    assert_eq!(request.body, b"abc");
    assert_eq!(request.trailers, [("x-fine".to_owned(), b"1".to_vec())]);
}
