use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;

use super::{BoxError, UpstreamError, connection::Connection, idle::Idle};

/// The body of a response. Read to its end it gives the connection back to the pool; dropped before, it closes it.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    lease: Option<Lease>,
}

/// The right to use a connection until a response body is over.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: Connection,
    /// Alive for as long as the connection still sends the request body.
    pub(super) upload: Weak<()>,
    pub(super) idle: Arc<Idle>,
}

impl UpstreamBody {
    pub(super) fn pooled(incoming: Incoming, lease: Lease) -> Self {
        let mut body = Self { incoming, lease: Some(lease) };
        if body.incoming.is_end_stream() {
            body.finish();
        }
        body
    }

    pub(super) fn unpooled(incoming: Incoming) -> Self {
        Self { incoming, lease: None }
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish();
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            // A reader that knows the length does not ask once more for the end.
            Some(Ok(_)) if !self.incoming.is_end_stream() => {}
            Some(Err(_)) => self.lease = None,
            Some(Ok(_)) | None => self.finish(),
        }
        Poll::Ready(frame.map(|result| result.map_err(UpstreamError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Lease {
    /// A service that answered in full before it took the whole request may never read the rest: then the connection is
    /// of no use to anybody else, and closing it tells the sender of the body.
    fn finish(self) {
        if self.upload.strong_count() == 0 {
            self.idle.put(self.connection);
        }
    }
}

/// The body of a request. Only one with bytes costs an allocation.
pub(super) enum RequestBody {
    Empty,
    Streaming { body: UnsyncBoxBody<Bytes, BoxError>, upload: Arc<()> },
}

impl RequestBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            return Self::Empty;
        }
        Self::Streaming { body: body.map_err(Into::into).boxed_unsync(), upload: Arc::new(()) }
    }

    /// Dies with this body, which hyper drops as soon as it has taken all of it.
    pub(super) fn upload(&self) -> Weak<()> {
        match self {
            Self::Empty => Weak::new(),
            Self::Streaming { upload, .. } => Arc::downgrade(upload),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming { body, .. } => body.size_hint(),
        }
    }
}
