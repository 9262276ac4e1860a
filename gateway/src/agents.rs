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

/// Agents over gRPC.
#[derive(Clone)]
pub(crate) struct Grpc {
    pub(crate) lobby: Lobby,
    pub(crate) census: Arc<Census>,
    pub(crate) security: Security,
    pub(crate) tunnel: GrpcService,
}

/// Agents over WebSocket.
#[derive(Clone)]
pub(crate) struct WebSocket {
    pub(crate) lobby: Lobby,
    pub(crate) census: Arc<Census>,
    pub(crate) security: Security,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) edge: Arc<Edge>,
    pub(crate) header_timeout: Duration,
}

impl Grpc {
    /// Serves one connection.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        pause: Pause,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Self { lobby, census, security, tunnel } = self.clone();
        let pause = pause.answered();
        if let Security::Plain = security {
            let stream = std::future::ready(Some(stream));
            let connection = move |stream, visitor| http2(stream, &tunnel, peer, Channel::plain(), visitor);
            return Either::Left(stranger::serve(lobby, census, peer, pause, stream, connection));
        }
        let stream = Box::pin(security.agent(stream, peer));
        let connection = move |(stream, channel), visitor| http2(stream, &tunnel, peer, channel, visitor);
        Either::Right(stranger::serve(lobby, census, peer, pause, stream, connection))
    }
}

impl WebSocket {
    /// Serves one connection.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        pause: Pause,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Self { lobby, census, security, bridge, edge, header_timeout } = self.clone();
        let pause = pause.answered();
        let builder = http1_builder(header_timeout);
        if let Security::Plain = security {
            let stream = std::future::ready(Some(stream));
            let connection =
                move |stream, visitor| ws(stream, &builder, bridge, edge, peer, Channel::plain(), visitor);
            return Either::Left(stranger::serve(lobby, census, peer, pause, stream, connection));
        }
        let stream = Box::pin(security.agent(stream, peer));
        let connection =
            move |(stream, channel), visitor| ws(stream, &builder, bridge, edge, peer, channel, visitor);
        Either::Right(stranger::serve(lobby, census, peer, pause, stream, connection))
    }
}

/// HTTP/1.1 as hyper serves it on the ports that are not for clients.
pub(crate) fn http1_builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without a timer the time-out would silently do nothing.
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(READ_BUFFER);
    builder
}

fn ws<S>(
    stream: S,
    builder: &http1::Builder,
    bridge: Arc<Bridge>,
    edge: Arc<Edge>,
    peer: SocketAddr,
    channel: Channel,
    visitor: Visitor,
) -> impl Connection + Send + use<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let visitor = edge.speaking_for(visitor.clone(), peer, request.headers());
        let answer = bridge.answer(request, peer, channel.clone(), visitor);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    builder.serve_connection(TokioIo::new(stream), service).with_upgrades()
}

fn http2<S>(
    stream: S,
    tunnel: &GrpcService,
    peer: SocketAddr,
    channel: Channel,
    visitor: Visitor,
) -> impl Connection + Send + use<S>
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
    builder.serve_connection(TokioIo::new(socket), tunnel.for_peer(peer, channel, visitor))
}
