use std::{future::poll_fn, pin::pin, time::Duration};

use bytes::Bytes;
use futures_util::future::join;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

use super::{idle::IDLE_TIMEOUT, *};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A hand-written service and a pool for it.
async fn service() -> (UpstreamPool, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (pool("127.0.0.1", listener.local_addr().unwrap().port()), listener)
}

fn pool(host: &str, port: u16) -> UpstreamPool {
    UpstreamPool::new(Upstream { host: host.to_owned(), port })
}

fn request(method: Method) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri("/a?b").header("host", "local").body(Empty::new()).unwrap()
}

fn get() -> Request<Empty<Bytes>> {
    request(Method::GET)
}

fn post(body: &'static str) -> Request<Full<Bytes>> {
    let request = Request::post("/").header("host", "local").header("content-length", body.len());
    request.body(Full::from(body)).unwrap()
}

async fn text(response: Response<UpstreamBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The service's end of one connection. Everything it waits for is bounded, so that a bug fails instead of hanging.
struct Peer(TcpStream);

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        Self(within(listener.accept()).await.unwrap().0)
    }

    /// Reads up to the end of a request head.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.0.read_u8()).await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    async fn answer(&mut self, text: &str) {
        self.head().await;
        self.write(text).await;
    }

    /// Waits until the agent has closed the connection.
    async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _ = within(self.0.read_to_end(&mut rest)).await;
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("nothing happened for 10 s")
}

async fn exchange(pool: &UpstreamPool, peer: &mut Peer, answer: &str) -> Response<UpstreamBody> {
    let (response, ()) = join(pool.send(get()), peer.answer(answer)).await;
    response.unwrap()
}

/// One exchange that leaves an idle connection behind.
async fn warm(pool: &UpstreamPool, listener: &TcpListener) -> Peer {
    let (response, peer) = join(pool.send(get()), async {
        let mut peer = Peer::accept(listener).await;
        peer.answer(OK).await;
        peer
    })
    .await;
    assert_eq!(text(response.unwrap()).await, "ok");
    peer
}

#[tokio::test]
async fn a_request_is_written_as_given() {
    let (pool, listener) = service().await;
    let serve = async {
        let mut peer = Peer::accept(&listener).await;
        let head = peer.head().await;
        peer.write(OK).await;
        head
    };
    let (response, head) = join(pool.send(get()), serve).await;
    assert_eq!(head, "GET /a?b HTTP/1.1\r\nhost: local\r\n\r\n");
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn one_connection_serves_every_kind_of_complete_response() {
    let (pool, listener) = service().await;
    let mut peer = warm(&pool, &listener).await;
    for (answer, body) in [
        (OK, "ok"),
        ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: t\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n",
            "abc",
        ),
    ] {
        assert_eq!(text(exchange(&pool, &mut peer, answer).await).await, body, "{answer}");
    }
    let (response, ()) =
        join(pool.send(request(Method::HEAD)), peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"))
            .await;
    assert_eq!(text(response.unwrap()).await, "");
    exchange(&pool, &mut peer, OK).await;
}

#[tokio::test]
async fn a_connection_is_back_before_the_reader_asks_for_the_end() {
    let (pool, listener) = service().await;
    let mut peer = warm(&pool, &listener).await;
    let mut response = exchange(&pool, &mut peer, OK).await;
    response.body_mut().frame().await.unwrap().unwrap();
    exchange(&pool, &mut peer, OK).await;
}

#[tokio::test]
async fn a_response_may_come_byte_by_byte() {
    let (pool, listener) = service().await;
    let (response, _) = join(pool.send(get()), async {
        let mut peer = Peer::accept(&listener).await;
        peer.0.set_nodelay(true).unwrap();
        peer.head().await;
        for byte in OK.as_bytes() {
            peer.0.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        peer
    })
    .await;
    assert_eq!(text(response.unwrap()).await, "ok");
}

#[tokio::test]
async fn an_idle_connection_that_the_service_closes_is_let_go() {
    let (pool, listener) = service().await;
    let mut peer = warm(&pool, &listener).await;
    peer.0.shutdown().await.unwrap();
    peer.closed().await;
    warm(&pool, &listener).await;
}

#[tokio::test]
async fn a_safe_request_on_a_stale_connection_is_sent_once_more() {
    let (pool, listener) = service().await;
    let mut stale = warm(&pool, &listener).await;
    let serve = async {
        stale.head().await;
        drop(stale);
        let mut fresh = Peer::accept(&listener).await;
        let head = fresh.head().await;
        fresh.write(OK).await;
        head
    };
    let (response, head) = join(pool.send(get()), serve).await;
    assert_eq!(text(response.unwrap()).await, "ok");
    assert_eq!(head, "GET /a?b HTTP/1.1\r\nhost: local\r\n\r\n");
}

#[tokio::test]
async fn a_safe_request_is_not_sent_a_third_time() {
    let (pool, listener) = service().await;
    let mut stale = warm(&pool, &listener).await;
    let serve = async {
        stale.head().await;
        drop(stale);
        Peer::accept(&listener).await.head().await;
    };
    let (response, ()) = join(pool.send(get()), serve).await;
    assert!(matches!(response, Err(UpstreamError::Reset { .. })), "{response:?}");
}

#[tokio::test]
async fn an_unsafe_request_that_was_written_is_never_sent_again() {
    let (pool, listener) = service().await;
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let mut stale = warm(&pool, &listener).await;
        let serve = async {
            stale.head().await;
            drop(stale);
        };
        let (response, ()) = join(pool.send(request(method)), serve).await;
        assert!(matches!(response, Err(UpstreamError::Reset { .. })), "{response:?}");
    }
}

#[tokio::test]
async fn a_request_that_was_not_written_goes_out_again_whatever_its_method() {
    let (pool, listener) = service().await;
    drop(warm(&pool, &listener).await);
    // The runtime has now seen that the service closed, and polls this test before the connection's task: `send`
    // finds a connection that looks alive, and its task finds the end of the stream before the request.
    tokio::task::yield_now().await;
    let serve = async {
        let mut fresh = Peer::accept(&listener).await;
        let head = fresh.head().await;
        let mut body = [0; 4];
        fresh.0.read_exact(&mut body).await.unwrap();
        fresh.write(OK).await;
        (head, body)
    };
    let (response, (head, body)) = within(join(pool.send(post("body")), serve)).await;
    assert_eq!(text(response.unwrap()).await, "ok");
    assert!(head.starts_with("POST / "), "{head}");
    assert_eq!(&body, b"body");
}

#[tokio::test]
async fn dropping_a_body_early_closes_the_connection() {
    let (pool, listener) = service().await;
    let mut peer = warm(&pool, &listener).await;
    let response = exchange(&pool, &mut peer, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart").await;
    drop(response);
    peer.closed().await;
}

#[tokio::test]
async fn dropping_the_future_closes_the_connection() {
    let (pool, listener) = service().await;
    let mut peer = warm(&pool, &listener).await;
    let mut send = Box::pin(pool.send(get()));
    tokio::select! {
        _ = &mut send => panic!("nobody answered"),
        _ = peer.head() => {}
    }
    drop(send);
    peer.closed().await;
}

#[tokio::test]
async fn dropping_the_pool_closes_what_is_idle() {
    let (pool, listener) = service().await;
    let mut peer = warm(&pool, &listener).await;
    drop(pool);
    peer.closed().await;
}

#[tokio::test]
async fn a_connection_does_not_wait_longer_than_its_time() {
    let (pool, listener) = service().await;
    let mut old = warm(&pool, &listener).await;
    tokio::time::pause();
    tokio::time::advance(IDLE_TIMEOUT).await;
    tokio::time::resume();
    warm(&pool, &listener).await;
    old.closed().await;
}

#[tokio::test]
async fn a_refused_connection_says_where_to_look() {
    let (pool, listener) = service().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = pool.send(get()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("connect refused: is anything listening on {address} ?"));
}

#[tokio::test]
async fn a_name_without_address_is_a_connect_error() {
    // A label that no name server can be asked for, so that the test needs none.
    let error = pool(&"x".repeat(64), 80).send(get()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    for address in ["[::1]:0", "127.0.0.1:0"] {
        // Not every machine has IPv6, nor a localhost there.
        let Ok(listener) = TcpListener::bind(address).await else { continue };
        let ip = listener.local_addr().unwrap().ip();
        if !tokio::net::lookup_host("localhost:0").await.unwrap().any(|resolved| resolved.ip() == ip) {
            continue;
        }
        let pool = pool("localhost", listener.local_addr().unwrap().port());
        warm(&pool, &listener).await;
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_bad_response() {
    let long = format!("HTTP/1.1 200 OK\r\nlong: {}\r\n\r\n", "x".repeat(160 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    for answer in ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "HTTP/1.1 2xx No\r\n\r\n", &long, &many] {
        let (pool, listener) = service().await;
        let (response, mut peer) = join(pool.send(get()), async {
            let mut peer = Peer::accept(&listener).await;
            peer.head().await;
            // The agent may hang up in the middle of it.
            let _ = peer.0.write_all(answer.as_bytes()).await;
            peer
        })
        .await;
        let error = response.unwrap_err();
        assert!(matches!(error, UpstreamError::BadResponse { .. }), "{error} for {answer:.40}");
        peer.closed().await;
    }
}

#[tokio::test]
async fn the_largest_head_that_is_passed_on_is_read() {
    let (pool, listener) = service().await;
    let mut peer = warm(&pool, &listener).await;
    let value = "x".repeat(proto::limits::MAX_HEAD_BYTES / 100 - 1);
    let head = format!("HTTP/1.1 204 No Content\r\n{}\r\n", format!("h: {value}\r\n").repeat(100));
    assert_eq!(exchange(&pool, &mut peer, &head).await.headers().len(), 100);
}

#[tokio::test]
async fn a_cut_body_is_an_error_and_never_a_clean_end() {
    for head in ["content-length: 9", "transfer-encoding: chunked"] {
        let (pool, listener) = service().await;
        let mut peer = warm(&pool, &listener).await;
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n4\r\nabcd\r\n");
        let response = exchange(&pool, &mut peer, &answer[..answer.len() - 2]).await;
        drop(peer);
        let error = response.into_body().collect().await.unwrap_err();
        assert!(matches!(error, UpstreamError::Reset { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_service_that_closes_without_answer_has_reset() {
    let (pool, listener) = service().await;
    let serve = async { Peer::accept(&listener).await.head().await };
    let (response, _) = join(pool.send(get()), serve).await;
    let error = response.unwrap_err();
    assert!(matches!(error, UpstreamError::Reset { .. }), "{error}");
    assert!(error.to_string().starts_with("the local service broke off ("), "{error}");
}

type Chunks = futures_util::stream::BoxStream<'static, Result<http_body::Frame<Bytes>, BoxError>>;

fn upload(chunks: Chunks) -> Request<StreamBody<Chunks>> {
    let request = Request::post("/").header("host", "local").header("transfer-encoding", "chunked");
    request.body(StreamBody::new(chunks)).unwrap()
}

#[tokio::test]
async fn an_early_response_ends_the_upload() {
    let (pool, listener) = service().await;
    let (held, dropped) = oneshot::channel::<()>();
    let endless = futures_util::stream::once(async move {
        let _held = held;
        std::future::pending().await
    });
    let serve = async {
        let mut peer = Peer::accept(&listener).await;
        peer.answer(OK).await;
        peer
    };
    let (response, mut peer) = join(pool.send(upload(Box::pin(endless))), serve).await;
    assert_eq!(text(response.unwrap()).await, "ok");
    peer.closed().await;
    within(dropped).await.unwrap_err();
}

#[tokio::test]
async fn a_connection_is_reused_after_a_whole_upload() {
    let (pool, listener) = service().await;
    let chunks =
        futures_util::stream::iter(["ab", "c"].map(|chunk| Ok(http_body::Frame::data(chunk.into()))));
    let serve = async {
        let mut peer = Peer::accept(&listener).await;
        peer.head().await;
        let mut body = [0; 18];
        within(peer.0.read_exact(&mut body)).await.unwrap();
        peer.write(OK).await;
        (body, peer)
    };
    let (response, (body, mut peer)) = join(pool.send(upload(Box::pin(chunks))), serve).await;
    assert_eq!(&body, b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n");
    assert_eq!(text(response.unwrap()).await, "ok");
    exchange(&pool, &mut peer, OK).await;
}

#[tokio::test]
async fn a_broken_upload_is_told_apart_from_a_broken_service() {
    let (pool, listener) = service().await;
    let broken = futures_util::stream::once(async { Err("the client went away".into()) });
    let serve = async {
        let mut peer = Peer::accept(&listener).await;
        peer.closed().await;
    };
    let (response, ()) = join(pool.send(upload(Box::pin(broken))), serve).await;
    let error = response.unwrap_err();
    assert!(matches!(error, UpstreamError::RequestBody { .. }), "{error}");
    assert!(error.to_string().ends_with("the client went away)"), "{error}");
}

#[tokio::test]
async fn an_upgraded_connection_is_handed_over() {
    let (pool, listener) = service().await;
    let mut peer = warm(&pool, &listener).await;
    let request = Request::get("/").header("connection", "upgrade").header("upgrade", "echo");
    let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhi";
    let send = pool.send(request.body(Empty::<Bytes>::new()).unwrap());
    let (response, ()) = join(send, peer.answer(switching)).await;
    let mut upgraded =
        hyper_util::rt::TokioIo::new(within(hyper::upgrade::on(response.unwrap())).await.unwrap());
    let mut greeting = [0; 2];
    upgraded.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"hi");
    drop(upgraded);
    peer.closed().await;
}

#[tokio::test]
async fn send_is_a_future_that_any_thread_can_run() {
    fn is_send(_: &impl Send) {}
    let (pool, _listener) = service().await;
    let send = pool.send(get());
    is_send(&send);
    let mut send = pin!(send);
    poll_fn(|cx| {
        assert!(send.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
}
