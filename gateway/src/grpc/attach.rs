//! The tunnel's one method, without the library's codec.
//!
//! That copies each message once more at either end, and knows nothing of several at a time. What gRPC demands of a
//! stream in each direction (its protocol over HTTP/2) is little: a prefix before each message, and a status behind the
//! last one.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use link::LinkError;
use proto::{
    AgentFrame,
    codec::{Batch, Messages, Pieces},
};
use session::Outbound;
use tonic::{Code, Status};

use super::status;

/// Refuses a call whose messages could not be read.
///
/// # Errors
/// UNIMPLEMENTED for compressed messages.
pub(super) fn check(request: &Request<Incoming>) -> Result<(), Status> {
    match request.headers().get("grpc-encoding") {
        Some(encoding) if encoding != "identity" => {
            let encoding = String::from_utf8_lossy(encoding.as_bytes());
            let mut status = Status::unimplemented(format!(
                "Content is compressed with `{encoding}` which isn't supported"
            ));
            status.metadata_mut().insert("grpc-accept-encoding", "identity".parse().expect("a plain word"));
            Err(status)
        }
        _ => Ok(()),
    }
}

/// The frames of an agent.
pub(super) struct FromAgent {
    body: Incoming,
    messages: Messages<AgentFrame>,
    ended: bool,
}

impl FromAgent {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, messages: Messages::default(), ended: false }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<AgentFrame, LinkError>>> {
        loop {
            if let Some(frame) = self.messages.pop()? {
                return Poll::Ready(Some(Ok(frame)));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.messages.push(data),
                    Err(_trailers) => return Poll::Ready(None),
                },
                Some(Err(error)) => return Poll::Ready(broken(error).map(Err)),
                None => return Poll::Ready(self.messages.end().err().map(|error| Err(error.into()))),
            }
        }
    }
}

impl Stream for FromAgent {
    type Item = Result<AgentFrame, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(self.poll_frame(cx));
        self.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }
}

/// What HTTP/2 says of a stream that broke; an agent that cancels its call just leaves.
fn broken(error: hyper::Error) -> Option<LinkError> {
    let status = Status::from_error(Box::new(error));
    let message = status.message().to_owned();
    match status.code() {
        Code::Cancelled => None,
        Code::OutOfRange | Code::ResourceExhausted => Some(LinkError::TooLarge(message)),
        Code::InvalidArgument | Code::Internal => Some(LinkError::Malformed(message)),
        _ => Some(LinkError::Broken(message)),
    }
}

/// The gateway's frames, and behind the last one the status that says why there are no more.
pub(crate) struct ToAgent {
    outbound: Outbound,
    batch: Batch,
    ended: bool,
}

impl ToAgent {
    pub(super) fn new(outbound: Outbound) -> Self {
        Self { outbound, batch: Batch::default(), ended: false }
    }

    fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        let status = status(self.outbound.close_reason()).unwrap_or_else(|| Status::ok(""));
        if status.add_header(&mut trailers).is_err() {
            trailers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::Unknown as i32));
        }
        trailers
    }
}

/// A body of either kind.
pub(crate) enum Body {
    /// The tunnel's.
    Attach(Box<ToAgent>),
    /// What the library answers.
    Other(tonic::body::Body),
}

impl Body {
    pub(super) fn response(to_agent: ToAgent) -> Response<Self> {
        let mut response = Response::new(Self::Attach(Box::new(to_agent)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }
}

impl http_body::Body for Body {
    type Data = Pieces;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Pieces>, Status>>> {
        let body = match self.get_mut() {
            Self::Attach(body) => body,
            Self::Other(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                return Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(Pieces::from))));
            }
        };
        if body.ended {
            return Poll::Ready(None);
        }
        let ToAgent { outbound, batch, .. } = &mut **body;
        match ready!(batch.poll_messages(|| Pin::new(&mut *outbound).poll_next(cx))) {
            Some(pieces) => Poll::Ready(Some(Ok(Frame::data(pieces)))),
            None => {
                body.ended = true;
                Poll::Ready(Some(Ok(Frame::trailers(body.trailers()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Attach(body) => body.ended,
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Attach(_) => http_body::SizeHint::default(),
            Self::Other(body) => body.size_hint(),
        }
    }
}
