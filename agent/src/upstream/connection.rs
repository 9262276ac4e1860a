use std::time::Duration;

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use proto::limits;
use tokio::{net::TcpStream, time::timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Failure, UpstreamError, body::RequestBody};
use crate::Upstream;

/// How long resolving and connecting may take together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Room for the largest head that is passed on: its fields, status line, separators and line ends. A bound on memory,
/// since hyper looks only while a head is incomplete. hyper's own limit of 100 fields stays: setting it would move the
/// field table from the stack to the heap.
const READ_BUFFER: usize = limits::MAX_HEAD_BYTES + 8 * 1024;

/// One TCP connection to the local service, closed by dropping it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    /// Drives the socket. It ends by itself when the service closes, and with it the socket.
    task: AbortOnDropHandle<()>,
}

impl Connection {
    /// Dials the service, trying every address of its name in turn.
    pub(super) async fn dial(upstream: &Upstream) -> Result<Self, UpstreamError> {
        let connect = TcpStream::connect((upstream.host.as_str(), upstream.port));
        let stream = timeout(CONNECT_TIMEOUT, connect)
            .await
            .map_err(|_| UpstreamError::connect_timeout(upstream))?
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|source| UpstreamError::connect(upstream, source))?;
        Self::over(stream).await.map_err(UpstreamError::from)
    }

    async fn over(stream: TcpStream) -> hyper::Result<Self> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(READ_BUFFER).handshake(TokioIo::new(stream)).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to the local service ended");
            }
        });
        Ok(Self { sender, task: AbortOnDropHandle::new(task) })
    }

    pub(super) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Failure> {
        self.sender.try_send_request(request).await.map_err(|mut failure| Failure {
            unsent: failure.take_message().map(Box::new),
            error: failure.into_error().into(),
        })
    }

    /// Whether a request can be written now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether the socket is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Lets the task hand the socket over to [`hyper::upgrade::on`]. It ends with that.
    pub(super) fn release_for_upgrade(self) {
        drop(self.task.detach());
    }
}
