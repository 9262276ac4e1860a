use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_TYPE, TE},
};
use http_body::{Body as _, Frame};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use link::LinkError;
use proto::{
    GatewayFrame,
    codec::{Batch, Messages, Pieces},
    limits,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Status};

use super::{
    DialError, Inbound, Outbound,
    heard::{First, Heard},
};
use crate::GatewayUrl;

/// Opens the bidirectional stream on a connection of its own.
///
/// hyper's connection is used bare, without tonic's client: no reconnecting, no buffering layer and no copy stands
/// between a frame and the socket, and the HTTP/2 frame size can be set.
pub(super) async fn open<S>(url: &GatewayUrl, stream: S, outbound: Outbound) -> Result<Inbound, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (stream, first) = Heard::new(stream);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits::H2_STREAM_WINDOW)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
        .max_frame_size(limits::H2_MAX_FRAME_SIZE)
        .max_header_list_size(limits::H2_MAX_HEADER_LIST)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| no_answer(url, error, &first))?;
    let connection = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to the gateway ended");
        }
    }));
    let refused = |status: Status| DialError::Stream(describe(&status));
    let response =
        sender.send_request(call(url, outbound)).await.map_err(|error| no_answer(url, error, &first))?;
    if response.headers().contains_key(proto::ERROR_FIELD) {
        return Err(DialError::ClientsPort);
    }
    let ended = check(&response).map_err(refused)?;
    let (head, body) = response.into_parts();
    let messages = Messages::default();
    Ok(Box::pin(Frames { body, messages, status: head.status, ended, _connection: connection }))
}

/// Nobody answered in HTTP/2. Which of many errors it is depends on who is faster. TLS is a guess, and none at all if nothing came.
fn no_answer(url: &GatewayUrl, error: hyper::Error, first: &First) -> DialError {
    let hint = if !url.tls && first.is_foreign() { "; if it speaks TLS, dial grpcs://" } else { "" };
    DialError::NoHttp2 { reason: describe(&status(error)), hint }
}

fn call(url: &GatewayUrl, outbound: Outbound) -> Request<Body> {
    let scheme = if url.tls { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(url.authority()).path_and_query(proto::ATTACH_PATH);
    let uri = uri.build().expect("host and port were checked when the URL was parsed");
    let mut request = Request::new(Body { outbound, batch: Batch::default() });
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    request
}

/// Whether the call has ended with its head alone.
fn check(response: &Response<Incoming>) -> Result<bool, Status> {
    match response.headers().get("grpc-encoding") {
        Some(encoding) if encoding != "identity" => {
            return Err(Status::unimplemented("the other side compresses its messages"));
        }
        _ => {}
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => Err(status),
        status => Ok(status.is_some()),
    }
}

/// The agent's frames as gRPC messages. At their end the stream ends.
struct Body {
    outbound: Outbound,
    batch: Batch,
}

impl http_body::Body for Body {
    type Data = Pieces;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, Infallible>>> {
        let Self { outbound, batch } = self.get_mut();
        let pieces = ready!(batch.poll_messages(|| Pin::new(&mut *outbound).poll_next(cx)));
        Poll::Ready(pieces.map(|pieces| Ok(Frame::data(pieces))))
    }
}

/// The frames of the gateway. Dropping it closes the connection.
struct Frames {
    body: Incoming,
    messages: Messages<GatewayFrame>,
    /// HTTP's, which is all there is if no gRPC stands behind it.
    status: StatusCode,
    ended: bool,
    _connection: AbortOnDropHandle<()>,
}

impl Frames {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<GatewayFrame, LinkError>>> {
        loop {
            if let Some(frame) = self.messages.pop()? {
                return Poll::Ready(Some(Ok(frame)));
            }
            let trailers = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        self.messages.push(data);
                        continue;
                    }
                    Err(frame) => frame.into_trailers().ok(),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(link_error(&status(error))))),
                None => {
                    self.messages.end()?;
                    None
                }
            };
            let farewell = trailers.as_ref().and_then(Status::from_header_map);
            let farewell = farewell.unwrap_or_else(|| without_status(self.status));
            return Poll::Ready((farewell.code() != Code::Ok).then(|| Err(link_error(&farewell))));
        }
    }
}

impl Stream for Frames {
    type Item = Result<GatewayFrame, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(self.poll_frame(cx));
        self.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }
}

fn status(error: hyper::Error) -> Status {
    Status::from_error(Box::new(error))
}

/// What an end without a status means (gRPC's mapping of HTTP statuses).
fn without_status(status: StatusCode) -> Status {
    let code = match status {
        StatusCode::OK => {
            return Status::unknown("the stream ended without a status; was it cut by a proxy?");
        }
        StatusCode::BAD_REQUEST => Code::Internal,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::Unimplemented,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Code::Unavailable,
        _ => Code::Unknown,
    };
    Status::new(code, format!("no gRPC status, but HTTP status {}", status.as_u16()))
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
