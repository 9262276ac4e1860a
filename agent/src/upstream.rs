//! Pooled HTTP/1.1 connections to the local service.
//!
//! ```text
//! send --take--> idle? --yes--> exchange --stale--> dial --> exchange
//!                  +----no----> dial ------------------------> exchange
//!                  ^                                              |
//!                  +------ UpstreamBody read to its end <---------+
//! ```
//! Invariant: a connection is owned by exactly one of the idle list, a [`send`](UpstreamPool::send) in progress and an
//! [`UpstreamBody`]; whoever drops it closes its socket.

mod body;
mod connection;
mod error;
mod idle;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;

use self::{
    body::{Lease, RequestBody},
    connection::Connection,
    idle::Idle,
};
use crate::Upstream;

pub use body::UpstreamBody;
pub use error::UpstreamError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Connections to one local service. Clones share them.
#[derive(Clone, Debug)]
pub struct UpstreamPool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    upstream: Upstream,
    idle: Arc<Idle>,
}

impl UpstreamPool {
    /// A pool without connections; the first request dials.
    pub fn new(upstream: Upstream) -> Self {
        Self { inner: Arc::new(Inner { upstream, idle: Arc::default() }) }
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// The caller has set the URI in origin form, `host`, and either `content-length` or `transfer-encoding`; the
    /// version is always sent as HTTP/1.1. A request body must end or fail once nobody wants it any more.
    ///
    /// The service may close an idle connection at the very moment it is chosen. A request that was not written then
    /// goes out again on a fresh connection; one that was written does so only if its method is safe (RFC 9110,
    /// section 9.2.1) and it has no body.
    ///
    /// # Errors
    /// [`UpstreamError`] says whether the service was reached and what it did.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection, so the service sees that nobody waits any more.
    pub async fn send<B>(&self, request: Request<B>) -> Result<Response<UpstreamBody>, UpstreamError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = request.map(RequestBody::new);
        *request.version_mut() = Version::HTTP_11;
        if let Some(connection) = self.inner.idle.take() {
            match self.send_reused(connection, request).await? {
                Reused::Answered(response) => return Ok(response),
                Reused::Stale(again) => request = *again,
            }
        }
        let connection = Connection::dial(&self.inner.upstream).await?;
        self.exchange(connection, request).await.map_err(|failure| failure.error)
    }

    async fn send_reused(
        &self,
        connection: Connection,
        request: Request<RequestBody>,
    ) -> Result<Reused, UpstreamError> {
        let replay = replay(&request);
        match self.exchange(connection, request).await {
            Ok(response) => Ok(Reused::Answered(response)),
            Err(Failure { unsent: Some(request), .. }) => Ok(Reused::Stale(request)),
            Err(Failure { error: error @ UpstreamError::Reset { .. }, .. }) => {
                replay.map(Box::new).map(Reused::Stale).ok_or(error)
            }
            Err(Failure { error, .. }) => Err(error),
        }
    }

    async fn exchange(
        &self,
        mut connection: Connection,
        request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let upload = request.body().upload();
        let response = connection.send(request).await?;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            connection.release_for_upgrade();
            return Ok(response.map(UpstreamBody::unpooled));
        }
        let lease = Lease { connection, upload, idle: self.inner.idle.clone() };
        Ok(response.map(|incoming| UpstreamBody::pooled(incoming, lease)))
    }
}

/// What came of a request on a connection that had been idle.
enum Reused {
    Answered(Response<UpstreamBody>),
    /// The service had closed it; this may go out again.
    Stale(Box<Request<RequestBody>>),
}

/// A request without a response.
struct Failure {
    error: UpstreamError,
    /// The request itself if not a byte of it was written.
    unsent: Option<Box<Request<RequestBody>>>,
}

/// A copy to send if the first one hits a stale connection, or `None` if sending twice could do something twice.
fn replay(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_safe() || !matches!(request.body(), RequestBody::Empty) {
        return None;
    }
    // Costs a copy of the field table, of reused connections and bodiless requests only; values are shared.
    let mut copy = Request::new(RequestBody::Empty);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    Some(copy)
}

#[cfg(test)]
mod tests;
