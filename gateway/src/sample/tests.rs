use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::client::conn::http1::handshake;
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// A running sample service.
struct Sample {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Sample {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        Self {
            address,
            task: AbortOnDropHandle::new(tokio::spawn(serve(listener, shutdown.clone()))),
            shutdown,
        }
    }

    async fn get(&self, uri: &str) -> Response<Incoming> {
        let request = Request::get(uri).header("host", "sample").header("x-test", "<b>");
        self.send(request.body(Empty::<Bytes>::new()).unwrap()).await
    }

    async fn send<B>(&self, request: Request<B>) -> Response<Incoming>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut client, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection); // ends with the runtime of the test
        client.send_request(request).await.unwrap()
    }
}

async fn body(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn the_page_shows_what_was_received_as_text() {
    let sample = Sample::start().await;
    let response = sample.get("/").await;
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let page = body(response).await;
    assert!(page.contains("<tr><th>x-test</th><td>&lt;b&gt;</td></tr>"), "{page}");
    assert!(!page.contains("{headers}"));
}

#[tokio::test]
async fn echo_describes_a_request_without_body() {
    let sample = Sample::start().await;
    let response = sample.get("/echo?a=b").await;
    assert_eq!(body(response).await, "GET /echo?a=b\nhost: sample\nx-test: <b>\n");
}

#[tokio::test]
async fn echo_sends_a_body_back_with_its_type() {
    let sample = Sample::start().await;
    let request = Request::post("/echo").header("content-type", "x/y").header("content-length", 5);
    let response = sample.send(request.body(Full::<Bytes>::from("hello")).unwrap()).await;
    assert_eq!(response.headers()["content-type"], "x/y");
    assert_eq!(response.headers()["content-length"], "5");
    assert_eq!(body(response).await, "hello");
}

#[tokio::test]
async fn echo_sends_a_body_back_as_it_comes() {
    let sample = Sample::start().await;
    let (go_on, gate) = oneshot::channel::<()>();
    let first = futures_util::stream::iter([Bytes::from("first ")]);
    let second = futures_util::stream::once(async { gate.await.map(|()| Bytes::from("second")).unwrap() });
    let chunks = first.chain(second).map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
    let request = Request::post("/echo").header("transfer-encoding", "chunked");
    let mut response = sample.send(request.body(StreamBody::new(Box::pin(chunks))).unwrap()).await;
    let frame = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "first ");
    go_on.send(()).unwrap();
    assert_eq!(body(response).await, "second");
}

#[tokio::test]
async fn sse_sends_as_many_events_as_asked_for() {
    let sample = Sample::start().await;
    let response = sample.get("/sse?interval=1ms&count=3").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = body(response).await;
    let events: Vec<&str> = events.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events[2].starts_with("id: 2\ndata: {\"event\":2,\"time\":"), "{events:?}");
}

#[tokio::test]
async fn the_first_event_does_not_wait() {
    let sample = Sample::start().await;
    let mut response = sample.get("/sse?interval=1h").await;
    assert!(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap().starts_with(b"id: 0\n"));
}

#[tokio::test]
async fn an_interval_of_zero_is_served() {
    let sample = Sample::start().await;
    assert_eq!(body(sample.get("/sse?interval=0s&count=2").await).await.matches("\n\n").count(), 2);
}

#[tokio::test]
async fn slow_answers_after_the_time_asked_for() {
    let begun = tokio::time::Instant::now();
    let sample = Sample::start().await;
    let response = sample.get("/slow?for=20ms").await;
    assert_eq!(body(response).await, "answered after 20ms\n");
    assert!(begun.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn big_is_as_big_as_asked_for() {
    let sample = Sample::start().await;
    for (query, size) in [("", 10 << 20), ("?size=0", 0), ("?size=65537", 65_537), ("?size=1MiB", 1 << 20)] {
        let response = sample.get(&format!("/big{query}")).await;
        assert_eq!(response.headers()["content-length"], size.to_string());
        assert_eq!(body(response).await.len(), size);
    }
}

#[tokio::test]
async fn a_status_is_answered_as_asked_for() {
    let sample = Sample::start().await;
    for (path, status) in [("418", 418), ("204", 204), ("304", 304), ("500", 500), ("999", 999)] {
        assert_eq!(sample.get(&format!("/status/{path}")).await.status(), status);
    }
    for path in
        ["/status/", "/status/100", "/status/42", "/status/4180", "/status/x", "/nothing", "//", "/echo/"]
    {
        assert_eq!(sample.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let sample = Sample::start().await;
    for (uri, name) in [
        ("/slow?for=61s", "for"),
        ("/slow?for=", "for"),
        ("/big?size=11GiB", "size"),
        ("/big?size=x", "size"),
        ("/sse?count=-1", "count"),
        ("/sse?interval=2h", "interval"),
    ] {
        let response = sample.get(uri).await;
        assert_eq!(response.status(), 400, "{uri}");
        let text = body(response).await;
        assert!(text.starts_with(&format!("parameter `{name}` must be a")), "{text}");
    }
}

#[tokio::test]
async fn shutdown_ends_even_endless_answers() {
    let sample = Sample::start().await;
    let mut response = sample.get("/sse?interval=1h").await;
    response.body_mut().frame().await.unwrap().unwrap();
    sample.shutdown.cancel();
    sample.task.await.unwrap();
    assert!(response.body_mut().frame().await.unwrap().is_err());
}
