use std::{
    collections::{HashSet, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use link::{Budget, Link, Outbound, ReaderGone, Settings};
use proto::{
    AgentFrame, AgentId, Header, Secret, TunnelClose, TunnelData, TunnelRequest, TunnelResponse,
    TunnelWindow, agent_frame::Frame, id_text, limits, tunnel_close::Reason,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use uuid::Uuid;

use crate::{
    Config, Event, GatewayUrl, Http2, Transport, Upstream,
    forward::{Forwarder, Routes},
    world::Arrival,
};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The status and the error of an exchange that is over.
type Told = (Option<u16>, Option<String>);

/// A forwarder between a gateway and a service that the scenario plays.
pub(super) struct Scene {
    pub(super) link: Link<AgentFrame, Infallible>,
    outbound: Outbound<AgentFrame, Infallible>,
    /// Frames that were read while others were waited for.
    others: VecDeque<Frame>,
    /// Exchanges whose request is to stop.
    stopped: HashSet<Bytes>,
    forwarder: Arc<Forwarder>,
    listener: TcpListener,
    exchanges: JoinSet<()>,
    /// What was said of each exchange: status, and the error if it failed.
    told: Arc<Mutex<Vec<Told>>>,
}

/// A response as the gateway gets it.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) head: TunnelResponse,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<Header>,
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::with_window(limits::INITIAL_WINDOW).await
    }

    /// A gateway that grants each response so much credit at first.
    pub(super) async fn with_window(window: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        Self::over(listener, Upstream::http("127.0.0.1", port), window)
    }

    /// A service that gets requests in HTTP/2, as far as the agent decides that.
    pub(super) async fn speaking(http2: Http2) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream =
            Upstream { http2, ..Upstream::http("127.0.0.1", listener.local_addr().unwrap().port()) };
        Self::over(listener, upstream, limits::INITIAL_WINDOW)
    }

    pub(super) fn over(listener: TcpListener, upstream: Upstream, window: u32) -> Self {
        Self::with(listener, &config(upstream), window)
    }

    pub(super) fn with(listener: TcpListener, config: &Config, window: u32) -> Self {
        let (link, outbound) = Link::new(Settings {
            max_concurrent: 64,
            send_window: window,
            recv_window: limits::INITIAL_WINDOW,
            reader_gone: ReaderGone::StopSending,
            response_timeout: None,
            idle_timeout: None,
            budget: Budget::new(limits::PROCESS_MEMORY),
        });
        let told = Arc::<Mutex<Vec<_>>>::default();
        let heard = Arc::clone(&told);
        let observer = Arc::new(move |event| {
            if let Event::Request { status, error, .. } = event {
                heard.lock().unwrap().push((status, error));
            }
        });
        let forwarder = Forwarder::new(Routes::new(config), observer);
        let (others, stopped, exchanges) = (VecDeque::new(), HashSet::new(), JoinSet::new());
        Self { link, outbound, others, stopped, forwarder, listener, exchanges, told }
    }

    /// The address of the service, where nobody listens from now on.
    pub(super) fn hang_up(self) -> (Self, String) {
        let address = self.listener.local_addr().unwrap();
        let std = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        std.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(std).unwrap();
        (Self { listener, ..self }, address.to_string())
    }

    /// The gateway opens an exchange.
    pub(super) fn ask(&mut self, mut request: TunnelRequest) -> Uuid {
        let id = Uuid::new_v4();
        request.id = id_text(id);
        let queued = if request.end_stream { Bytes::new() } else { std::mem::take(&mut request.body) };
        let exchange = self.link.take_up(id, queued, request.end_stream, request.window).unwrap();
        let forwarder = Arc::clone(&self.forwarder);
        let inline = self.link.table().inline_limit();
        self.exchanges.spawn(forwarder.serve(Arrival { id, request, exchange, inline }));
        id
    }

    pub(super) fn data(&self, id: Uuid, chunk: impl Into<Bytes>, end_stream: bool) {
        let data = TunnelData { id: id_text(id), chunk: chunk.into(), end_stream };
        self.link.table().on_data(data, Instant::now()).unwrap();
    }

    pub(super) fn close(&self, id: Uuid, reason: Reason, trailers: Vec<Header>) {
        let close = TunnelClose { trailers, ..TunnelClose::because(id, reason, "") };
        self.link.table().on_close(close, Instant::now()).unwrap();
    }

    pub(super) fn grant(&self, id: Uuid, credit: u32) {
        let window = TunnelWindow { id: id_text(id), credit };
        self.link.table().on_window(&window, Instant::now()).unwrap();
    }

    /// The next frame of an exchange, but for credit and requests to stop.
    pub(super) async fn frame(&mut self, id: Uuid) -> Frame {
        let id = id_text(id);
        loop {
            if let Some(at) = self.others.iter().position(|frame| frame_id(frame) == id) {
                return self.others.remove(at).unwrap();
            }
            self.read().await;
        }
    }

    /// Waits until the gateway is asked to send no more of a request.
    pub(super) async fn stopped(&mut self, id: Uuid) {
        while !self.stopped.contains(&id_text(id)) {
            self.read().await;
        }
    }

    /// Reads a frame and puts it where it is looked for. Returns credit.
    async fn read(&mut self) -> Option<TunnelWindow> {
        match within(self.outbound.next()).await.unwrap().frame.unwrap() {
            Frame::Window(window) => return Some(window),
            Frame::Close(close) if close.reason() == Reason::StopSending => {
                self.stopped.insert(close.id);
            }
            frame => self.others.push_back(frame),
        }
        None
    }

    /// Waits for credit, and says how much there is.
    pub(super) async fn granted(&mut self, id: Uuid) -> usize {
        loop {
            if let Some(window) = self.read().await.filter(|window| window.id == id_text(id)) {
                return window.credit as usize;
            }
        }
    }

    /// Whether no frame is there to be sent, after everything that can happen now has happened.
    pub(super) async fn is_silent(&mut self) -> bool {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        !matches!(futures_util::poll!(self.outbound.next()), std::task::Poll::Ready(_))
    }

    pub(super) async fn head(&mut self, id: Uuid) -> TunnelResponse {
        match self.frame(id).await {
            Frame::Response(head) => head,
            other => panic!("{other:?} instead of a head"),
        }
    }

    /// A whole response. A cut one is a panic.
    pub(super) async fn response(&mut self, id: Uuid) -> Response {
        let head = self.head(id).await;
        self.rest(id, head).await
    }

    /// What follows a head.
    pub(super) async fn rest(&mut self, id: Uuid, head: TunnelResponse) -> Response {
        let mut body = head.body.to_vec();
        let (mut ended, mut trailers) = (head.end_stream, Vec::new());
        while !ended {
            match self.frame(id).await {
                Frame::Data(data) => {
                    body.extend_from_slice(&data.chunk);
                    ended = data.end_stream;
                }
                Frame::Close(close) if close.reason() == Reason::Done => {
                    (trailers, ended) = (close.trailers, true);
                }
                other => panic!("{other:?} instead of the end"),
            }
        }
        Response { head, body, trailers }
    }

    /// The abort of an exchange, whatever came before it.
    pub(super) async fn aborted(&mut self, id: Uuid) -> Reason {
        loop {
            if let Frame::Close(close) = self.frame(id).await {
                return close.reason();
            }
        }
    }

    pub(super) async fn accept(&self) -> Peer {
        Peer(within(self.listener.accept()).await.unwrap().0)
    }

    /// One exchange on a connection of its own, which is idle then.
    pub(super) async fn warm(&mut self) -> Peer {
        let id = self.ask(get());
        let mut peer = self.accept().await;
        peer.answer(OK).await;
        assert_eq!(self.response(id).await.body, b"ok");
        peer
    }

    /// One exchange on an idle connection.
    pub(super) async fn exchange(
        &mut self,
        peer: &mut Peer,
        request: TunnelRequest,
        answer: &str,
    ) -> Response {
        let id = self.ask(request);
        peer.answer(answer).await;
        self.response(id).await
    }

    /// Waits until every exchange is over, and says how the last one went.
    pub(super) async fn over_with(&mut self) -> Told {
        while let Some(ended) = within(self.exchanges.join_next()).await {
            ended.unwrap();
        }
        self.told.lock().unwrap().last().unwrap().clone()
    }
}

/// An agent in front of `upstream`.
pub(super) fn config(upstream: Upstream) -> Config {
    let gateway = GatewayUrl { transport: Transport::Grpc, tls: false, host: "gw".to_owned(), port: 8081 };
    let credential = format!("itk_a_{}", *Secret::from_bytes([7; 32]).reveal()).parse().unwrap();
    Config::new(upstream, vec![gateway], AgentId::parse("myapp").unwrap(), credential)
}

fn frame_id(frame: &Frame) -> Bytes {
    match frame {
        Frame::Response(head) => head.id.clone(),
        Frame::Data(data) => data.id.clone(),
        Frame::Close(close) => close.id.clone(),
        other => panic!("{other:?} of no exchange"),
    }
}

/// The service's end of one connection. Everything it waits for is bounded, so that a bug fails instead of hanging.
pub(super) struct Peer(pub(super) TcpStream);

impl Peer {
    /// Reads up to the end of a request head.
    pub(super) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.0.read_u8()).await.unwrap());
        }
        String::from_utf8_lossy(&head).into_owned()
    }

    /// Reads what must come.
    pub(super) async fn expect(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        within(self.0.read_exact(&mut bytes)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    pub(super) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    pub(super) async fn answer(&mut self, text: &str) {
        self.head().await;
        self.write(text).await;
    }

    /// Waits until the agent has closed the connection, and returns what it sent before.
    pub(super) async fn closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = within(self.0.read_to_end(&mut rest)).await;
        rest
    }
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(10), future).await.expect("nothing happened for 10 s")
}

pub(super) fn request(method: &'static str) -> TunnelRequest {
    TunnelRequest {
        method: method.into(),
        path: "/a?b".into(),
        authority: "local".into(),
        scheme: "http".to_owned(),
        end_stream: true,
        ..TunnelRequest::default()
    }
}

pub(super) fn get() -> TunnelRequest {
    request("GET")
}

/// A request whose whole body is in its frame.
pub(super) fn post(body: &'static str) -> TunnelRequest {
    TunnelRequest { body: body.into(), content_length: Some(body.len() as u64), ..request("POST") }
}

/// A request whose body follows.
pub(super) fn upload(content_length: Option<u64>) -> TunnelRequest {
    TunnelRequest { content_length, end_stream: false, ..request("POST") }
}

pub(super) fn fields(fields: &[(&'static str, &'static [u8])]) -> Vec<Header> {
    fields.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect()
}
