use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use link::LinkError;
use proto::{GatewayFrame, limits, tunnel_client::TunnelClient};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status, Streaming, body::Body};
use tower::Service;

use super::{DialError, Inbound, Outbound};
use crate::GatewayUrl;

/// Opens the bidirectional stream on a connection of its own.
///
/// hyper's connection is used bare, without tonic's channel: no reconnecting and no buffering layer stands between a
/// frame and the socket, and the frame size can be set.
pub(super) async fn open<S>(url: &GatewayUrl, stream: S, outbound: Outbound) -> Result<Inbound, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits::H2_STREAM_WINDOW)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
        .max_frame_size(limits::H2_MAX_FRAME_SIZE)
        .max_header_list_size(limits::H2_MAX_HEADER_LIST)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(DialError::Handshake)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the gateway ended");
        }
    }));
    let mut client = TunnelClient::with_origin(Connection(sender), origin(url))
        .max_decoding_message_size(limits::MAX_FRAME)
        .max_encoding_message_size(limits::MAX_FRAME);
    let frames = client.attach(outbound).await.map_err(|status| DialError::Stream(describe(&status)))?;
    Ok(Box::pin(Frames { frames: frames.into_inner(), _connection: connection }))
}

fn origin(url: &GatewayUrl) -> Uri {
    let builder = Uri::builder().scheme("http").authority(url.authority()).path_and_query("/");
    builder.build().expect("host and port were checked when the URL was parsed")
}

/// A connection as tonic's stubs want it.
struct Connection(SendRequest<Body>);

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// The frames of the gateway. Dropping it closes the connection.
struct Frames {
    frames: Streaming<GatewayFrame>,
    _connection: AbortOnDropHandle<()>,
}

impl Stream for Frames {
    type Item = Result<GatewayFrame, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.frames).poll_next(cx).map_err(|status| link_error(&status))
    }
}

fn link_error(status: &Status) -> LinkError {
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => LinkError::TooLarge(describe(status)),
        Code::InvalidArgument | Code::Internal => LinkError::Malformed(describe(status)),
        _ => LinkError::Broken(describe(status)),
    }
}

fn describe(status: &Status) -> String {
    let code = status.code();
    match status.message() {
        "" => format!("{code:?}"),
        message => format!("{code:?}: {message}"),
    }
}
