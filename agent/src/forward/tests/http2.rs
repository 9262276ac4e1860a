use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use http::{HeaderMap, Request, Response};
use proto::{HttpVersion, TunnelRequest, agent_frame::Frame, limits, tunnel_close::Reason as Close};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use uuid::Uuid;

use super::scene::{OK, Scene, fields, get, post, request, upload, within};
use crate::{Http2, Upstream};

/// A service that speaks HTTP/2, played by the scenario call by call.
pub(super) struct Service {
    calls: mpsc::UnboundedReceiver<Call>,
    connections: Arc<AtomicUsize>,
}

/// One request at the service.
pub(super) struct Call {
    pub(super) request: Request<RecvStream>,
    pub(super) respond: SendResponse<Bytes>,
}

impl Service {
    /// A service and an agent in front of it.
    async fn start(http2: Http2) -> (Scene, Self) {
        Self::with(http2, 100).await
    }

    /// A service that takes so many calls on one connection at a time.
    async fn with(http2: Http2, streams: u32) -> (Scene, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream =
            Upstream { http2, ..Upstream::http("127.0.0.1", listener.local_addr().unwrap().port()) };
        let (calls, heard) = mpsc::unbounded_channel();
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                tokio::spawn(serve(stream, streams, calls.clone()));
            }
        });
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (Scene::over(unused, upstream, limits::INITIAL_WINDOW), Self { calls: heard, connections })
    }

    async fn call(&mut self) -> Call {
        within(self.calls.recv()).await.unwrap()
    }
}

async fn serve(stream: TcpStream, streams: u32, calls: mpsc::UnboundedSender<Call>) {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(streams);
    accept(builder.handshake(stream).await.unwrap(), calls).await;
}

pub(super) async fn accept<S>(mut connection: Connection<S, Bytes>, calls: mpsc::UnboundedSender<Call>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(Ok((request, respond))) = connection.accept().await {
        // This asks for the connection to end, and is no answer.
        let goodbye = request.uri().path() == "/goodbye";
        let _ = calls.send(Call { request, respond });
        if goodbye {
            connection.abrupt_shutdown(Reason::NO_ERROR);
        }
    }
}

impl Call {
    async fn chunk(&mut self) -> Option<Bytes> {
        let chunk = within(self.request.body_mut().data()).await?.unwrap();
        self.request.body_mut().flow_control().release_capacity(chunk.len()).unwrap();
        Some(chunk)
    }

    async fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await {
            body.extend_from_slice(&chunk);
        }
        body
    }

    pub(super) fn answer(&mut self, body: &'static str) {
        let mut stream = self.respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(body.into(), true).unwrap();
    }

    /// Waits until the agent has reset the call.
    async fn reset(&mut self) -> Reason {
        within(poll_fn(|cx| self.respond.poll_reset(cx))).await.unwrap()
    }
}

fn grpc() -> TunnelRequest {
    let headers = fields(&[
        ("content-type", b"application/grpc+proto"),
        ("te", b"trailers"),
        ("grpc-timeout", b"250m"),
        ("x-bin", b"\xff"),
    ]);
    TunnelRequest { headers, path: "/pkg.Service/Method".into(), ..request("POST") }
}

fn trailers(status: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), status.parse().unwrap())])
}

async fn data(scene: &mut Scene, id: Uuid) -> Bytes {
    match scene.frame(id).await {
        Frame::Data(data) => data.chunk,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_unary_call_goes_through() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(TunnelRequest { body: "ask".into(), ..grpc() });
    let mut call = service.call().await;
    assert_eq!(call.request.method(), "POST");
    assert_eq!(call.request.uri(), "http://local/pkg.Service/Method");
    let headers = call.request.headers();
    assert_eq!(headers["content-type"], "application/grpc+proto");
    assert_eq!(
        (&headers["te"], &headers["grpc-timeout"]),
        (&"trailers".parse().unwrap(), &"250m".parse().unwrap())
    );
    assert_eq!(headers["x-bin"].as_bytes(), b"\xff");
    assert_eq!(headers["x-request-id"], id.to_string());
    assert!(!headers.contains_key("host") && !headers.contains_key("connection"));
    assert_eq!(call.body().await, b"ask");

    let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = call.respond.send_response(response, false).unwrap();
    stream.send_data("answer".into(), false).unwrap();
    stream.send_trailers(trailers("0")).unwrap();
    let response = scene.response(id).await;
    assert_eq!((response.head.status, response.head.version()), (200, HttpVersion::HttpVersion2));
    assert_eq!(response.head.headers, fields(&[("content-type", b"application/grpc")]));
    assert_eq!(response.body, b"answer");
    assert_eq!(response.trailers, fields(&[("grpc-status", b"0")]));
    assert_eq!(scene.over_with().await, (Some(200), None));
}

#[tokio::test]
async fn an_answer_of_trailers_only_is_one_frame() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(grpc());
    let mut call = service.call().await;
    assert!(call.request.body().is_end_stream());
    let response = Response::builder().header("grpc-status", "12").body(()).unwrap();
    call.respond.send_response(response, true).unwrap();
    let head = scene.head(id).await;
    assert_eq!((head.headers, head.end_stream), (fields(&[("grpc-status", b"12")]), true));
}

#[tokio::test]
async fn both_sides_of_a_call_stream_at_once() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(TunnelRequest { end_stream: false, ..grpc() });
    let mut call = service.call().await;
    let mut stream = call.respond.send_response(Response::new(()), false).unwrap();
    assert_eq!(scene.head(id).await.status, 200);
    for word in ["ping", "pong"] {
        scene.data(id, word, false);
        assert_eq!(call.chunk().await.unwrap(), word);
        stream.send_data(word.into(), false).unwrap();
        assert_eq!(data(&mut scene, id).await, word);
    }
    scene.close(id, Close::Done, fields(&[("x-sum", b"1")]));
    assert_eq!(call.chunk().await, None);
    let sum = within(call.request.body_mut().trailers()).await.unwrap().unwrap();
    assert_eq!(sum["x-sum"], "1");
    stream.send_trailers(trailers("0")).unwrap();
    assert_eq!(scene.rest(id, Default::default()).await.trailers, fields(&[("grpc-status", b"0")]));
}

#[tokio::test]
async fn large_bodies_come_whole_both_ways() {
    const SIZE: usize = 1_000_000;
    let body: Bytes = (0..SIZE).map(|i| (i * 7 % 251) as u8).collect();
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(TunnelRequest { window: 2 << 20, ..upload(Some(SIZE as u64)) });
    let mut call = service.call().await;
    assert_eq!(call.request.headers()["content-length"], SIZE.to_string());
    let echo = tokio::spawn(async move {
        let mut stream = call.respond.send_response(Response::new(()), false).unwrap();
        while let Some(chunk) = call.chunk().await {
            stream.send_data(chunk, false).unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
        within(poll_fn(|cx| stream.poll_reset(cx))).await // not dropped before it was sent
    });
    let (mut sent, mut credit) = (0, limits::INITIAL_WINDOW as usize);
    while sent < SIZE {
        let len = credit.min(limits::MAX_CHUNK).min(SIZE - sent);
        if len == 0 {
            credit += scene.granted(id).await;
            continue;
        }
        scene.data(id, body.slice(sent..sent + len), sent + len == SIZE);
        (sent, credit) = (sent + len, credit - len);
    }
    assert!(scene.response(id).await.body == body);
    echo.abort();
}

#[tokio::test]
async fn no_more_is_sent_than_the_gateway_grants() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(get());
    let mut call = service.call().await;
    let mut stream = call.respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(vec![b'x'; 1_000_000].into(), true).unwrap();
    let mut received = scene.head(id).await.body.len();
    while received < limits::INITIAL_WINDOW as usize {
        received += data(&mut scene, id).await.len();
    }
    assert_eq!(received, limits::INITIAL_WINDOW as usize);
    assert!(scene.is_silent().await);
    scene.grant(id, 1_000_000);
    let rest = scene.rest(id, Default::default()).await;
    assert_eq!(received + rest.body.len(), 1_000_000);
}

#[tokio::test]
async fn a_client_that_leaves_resets_its_call_and_no_other() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let other = scene.ask(get());
    let mut bystander = service.call().await;
    for (open, answered) in [(false, false), (true, false), (false, true), (true, true)] {
        let id = scene.ask(TunnelRequest { end_stream: !open, ..grpc() });
        let mut call = service.call().await;
        let mut _stream = None;
        if answered {
            _stream = Some(call.respond.send_response(Response::new(()), false).unwrap());
            scene.head(id).await;
        }
        scene.close(id, Close::Cancelled, Vec::new());
        let reason = match &mut _stream {
            Some(stream) => within(poll_fn(|cx| stream.poll_reset(cx))).await.unwrap(),
            None => call.reset().await,
        };
        assert_eq!(reason, Reason::CANCEL, "open {open} answered {answered}");
    }
    bystander.answer("ok");
    assert_eq!(scene.response(other).await.body, b"ok");
    assert_eq!(service.connections.load(Relaxed), 1);
}

#[tokio::test]
async fn a_service_that_resets_has_not_ended() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    for answered in [false, true] {
        let id = scene.ask(grpc());
        let mut call = service.call().await;
        if answered {
            let mut stream = call.respond.send_response(Response::new(()), false).unwrap();
            stream.send_data("part".into(), false).unwrap();
            scene.head(id).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        } else {
            call.respond.send_reset(Reason::INTERNAL_ERROR);
        }
        assert_eq!(scene.aborted(id).await, Close::UpstreamReset);
    }
}

#[tokio::test]
async fn a_call_that_the_service_refused_goes_out_again() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(post("body"));
    service.call().await.respond.send_reset(Reason::REFUSED_STREAM);
    let mut again = service.call().await;
    assert_eq!(again.body().await, b"body");
    again.answer("ok");
    assert_eq!(scene.response(id).await.body, b"ok");
    assert_eq!(service.connections.load(Relaxed), 2);
}

#[tokio::test]
async fn a_call_is_not_refused_for_ever() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(get());
    for _ in 0..2 {
        service.call().await.respond.send_reset(Reason::REFUSED_STREAM);
    }
    assert_eq!(scene.aborted(id).await, Close::UpstreamReset);
}

#[tokio::test]
async fn a_connection_that_ended_is_dialled_anew() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(TunnelRequest { path: "/goodbye".into(), ..post("") });
    let _leaving = service.call().await;
    assert_eq!(scene.aborted(id).await, Close::UpstreamReset, "the service has seen it");
    let id = scene.ask(post(""));
    service.call().await.answer("ok");
    assert_eq!(scene.response(id).await.body, b"ok");
    assert_eq!(service.connections.load(Relaxed), 2);
}

#[tokio::test]
async fn calls_share_a_connection_as_far_as_the_service_lets_them() {
    let (mut scene, mut service) = Service::with(Http2::Always, 2).await;
    let first = scene.ask(get());
    let mut calls = vec![service.call().await];
    calls[0].respond.send_informational(Response::builder().status(103).body(()).unwrap()).unwrap();
    // Now the service's settings have come.
    assert_eq!(scene.head(first).await.status, 103);
    let mut ids = vec![first];
    for _ in 0..4 {
        ids.push(scene.ask(get()));
        calls.push(service.call().await);
    }
    assert_eq!(service.connections.load(Relaxed), 3);
    for call in &mut calls {
        call.answer("ok");
    }
    for id in ids {
        assert_eq!(scene.response(id).await.body, b"ok");
    }
}

#[tokio::test]
async fn many_calls_at_once_dial_one_connection() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let ids: Vec<Uuid> = (0..20).map(|_| scene.ask(get())).collect();
    for _ in &ids {
        service.call().await.answer("ok");
    }
    for id in ids {
        assert_eq!(scene.response(id).await.body, b"ok");
    }
    assert_eq!(service.connections.load(Relaxed), 1);
}

#[tokio::test]
async fn what_the_service_says_meanwhile_is_passed_on() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(TunnelRequest { expect_continue: true, ..upload(Some(4)) });
    let mut call = service.call().await;
    assert_eq!(call.request.headers()["expect"], "100-continue");
    for status in [103_u16, 100] {
        call.respond.send_informational(Response::builder().status(status).body(()).unwrap()).unwrap();
        let head = scene.head(id).await;
        assert_eq!((head.status, head.informational), (u32::from(status), true));
    }
    scene.data(id, "body", true);
    assert_eq!(call.body().await, b"body");
    call.answer("ok");
    assert_eq!(scene.response(id).await.body, b"ok");
}

#[tokio::test]
async fn a_body_of_another_length_than_declared_is_reset() {
    for (chunk, end) in [("ab", true), ("abcd", false)] {
        let (mut scene, mut service) = Service::start(Http2::Always).await;
        let id = scene.ask(upload(Some(3)));
        let mut call = service.call().await;
        scene.data(id, chunk, end);
        assert_eq!(scene.aborted(id).await, Close::Protocol);
        assert_eq!(call.reset().await, Reason::CANCEL);
    }
}

#[tokio::test]
async fn an_early_answer_ends_the_upload() {
    let (mut scene, mut service) = Service::start(Http2::Always).await;
    let id = scene.ask(upload(None));
    service.call().await.answer("ok");
    assert_eq!(scene.response(id).await.body, b"ok");
    scene.stopped(id).await;
}

#[tokio::test]
async fn a_service_that_speaks_something_else_is_no_answer() {
    let mut scene = Scene::speaking(Http2::Always).await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    peer.write("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(scene.aborted(id).await, Close::UpstreamReset);
    let error = scene.over_with().await.1.unwrap();
    assert!(error.contains("does it speak HTTP/2 on that port?"), "{error}");
}

#[tokio::test]
async fn only_grpc_goes_in_http2_if_nothing_else_was_said() {
    let (mut scene, mut service) = Service::start(Http2::ForGrpc).await;
    let id = scene.ask(grpc());
    service.call().await.answer("ok");
    assert_eq!(scene.response(id).await.body, b"ok");

    let mut scene = Scene::speaking(Http2::ForGrpc).await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    assert!(peer.head().await.starts_with("GET /a?b HTTP/1.1\r\n"));
    peer.write(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
}

#[tokio::test]
async fn an_upgrade_has_a_connection_in_http1() {
    let mut scene = Scene::speaking(Http2::Always).await;
    scene.ask(TunnelRequest { upgrade: "websocket".to_owned(), end_stream: false, ..get() });
    let mut peer = scene.accept().await;
    assert!(peer.head().await.ends_with("\r\nupgrade: websocket\r\n\r\n"));
}
