//! The ports of agents: TLS or not, then the transport's own protocol, within the patience of the lobby.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::Either;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proto::limits;
use session::{Channel, Lobby, Visitor};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use ws_bridge::server::Bridge;

use crate::{
    census::Census,
    connections::Connection,
    edge::Edge,
    grpc::GrpcService,
    pause::Pause,
    stranger::{self, Rationed},
    tls::Security,
};

/// Room for the largest head that is taken, and the buffer that bodies are read with.
const READ_BUFFER: usize = limits::MAX_HEAD_BYTES;

/// One of the agents' ports.
#[derive(Clone)]
pub(crate) struct AgentPort<P> {
    pub(crate) lobby: Lobby,
    pub(crate) census: Arc<Census>,
    pub(crate) security: Security,
    pub(crate) protocol: P,
}

/// What a transport speaks on a stream, whether or not there is TLS below.
pub(crate) trait Protocol: Clone + Send {
    /// Speaks it with `visitor`.
    fn connection<S>(
        self,
        stream: S,
        peer: SocketAddr,
        channel: Channel,
        visitor: Visitor,
    ) -> impl Connection + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static;
}

/// Agents over WebSocket.
#[derive(Clone)]
pub(crate) struct WebSocket {
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) header_timeout: Duration,
}

impl<P: Protocol> AgentPort<P> {
    /// Serves one connection.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        pause: Pause,
    ) -> impl Future<Output = ()> + Send + use<P> {
        let port = self.clone();
        match port.security.clone() {
            Security::Plain => {
                let stream = std::future::ready(Some((stream, Channel::plain())));
                Either::Left(port.run(peer, pause, stream))
            }
            security => Either::Right(port.run(peer, pause, Box::pin(security.agent(stream, peer)))),
        }
    }

    fn run<S>(
        self,
        peer: SocketAddr,
        pause: Pause,
        handshake: impl Future<Output = Option<(S, Channel)>> + Send,
    ) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { lobby, census, protocol, .. } = self;
        let connection =
            move |(stream, channel), visitor| protocol.connection(stream, peer, channel, visitor);
        stranger::serve(lobby, census, peer, pause.answered(), handshake, connection)
    }
}

impl Protocol for WebSocket {
    fn connection<S>(
        self,
        stream: S,
        peer: SocketAddr,
        channel: Channel,
        visitor: Visitor,
    ) -> impl Connection + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { bridge, edge, header_timeout } = self;
        let service = service_fn(move |request: Request<Incoming>| {
            let visitor = edge.speaking_for(visitor.clone(), peer, request.headers());
            let answer = bridge.answer(request, peer, channel.clone(), visitor);
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        http1_builder(header_timeout).serve_connection(TokioIo::new(stream), service).with_upgrades()
    }
}

impl Protocol for GrpcService {
    fn connection<S>(
        self,
        stream: S,
        peer: SocketAddr,
        channel: Channel,
        visitor: Visitor,
    ) -> impl Connection + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(limits::H2_STREAM_WINDOW)
            .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
            .max_frame_size(limits::H2_MAX_FRAME_SIZE)
            .max_header_list_size(limits::H2_MAX_HEADER_LIST)
            .max_concurrent_streams(limits::H2_MAX_STREAMS)
            .max_local_error_reset_streams(64)
            .max_pending_accept_reset_streams(20);
        let socket = Rationed::new(stream, visitor.clone());
        builder.serve_connection(TokioIo::new(socket), self.for_peer(peer, channel, visitor))
    }
}

/// HTTP/1.1 as hyper serves it on the ports that are not for clients.
pub(crate) fn http1_builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without a timer the time-out would silently do nothing.
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(READ_BUFFER);
    builder
}
