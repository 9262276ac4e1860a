use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tracing::warn;

use super::{
    Connection, Pool, UpstreamError, UpstreamTls,
    dial::{Offer, dial},
    http2::{Leased, Multiplexed},
};
use crate::{Http2, Upstream, repeats::Repeats};

/// One local service, in whatever it speaks.
#[derive(Debug)]
pub(crate) struct Service {
    upstream: Upstream,
    pub(crate) http1: Pool,
    pub(crate) http2: Multiplexed,
    failures: Mutex<Repeats>,
}

/// Two lines of the log about one service are not closer to each other than this.
const GAP: Duration = Duration::from_secs(1);

impl Service {
    /// A service without connections; the first request dials.
    pub(crate) fn new(upstream: Upstream, tls: &UpstreamTls) -> Self {
        let http1 = Pool::new(upstream.clone(), tls.clone());
        let http2 = Multiplexed::new(upstream.clone(), tls.clone());
        Self { upstream, http1, http2, failures: Mutex::new(Repeats::new(GAP)) }
    }

    /// It gave no response, for a reason that its clients are not told. Said at first, and not for every request.
    pub(crate) fn on_unanswered(&self, error: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let service = &self.upstream;
        match failures.note(error, link::now()) {
            Some(0) => warn!(%service, error, "the local service does not answer"),
            Some(repeated) => warn!(%service, error, repeated, "the local service does not answer"),
            None => {}
        }
    }

    /// Where it is.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Whether to ask in HTTP/2 if the service lets us. An upgrade needs a connection of its own.
    pub(crate) fn prefers_http2(&self, upgrade: bool, grpc: impl FnOnce() -> bool) -> bool {
        !upgrade
            && match self.upstream.http2 {
                Http2::Never => false,
                Http2::ForGrpc => grpc(),
                Http2::IfOffered | Http2::Always => true,
            }
    }

    /// A fresh connection on which nothing was said, not even by TLS.
    ///
    /// # Errors
    /// See [`Pool::dial`].
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub(crate) async fn dial_plain(&self) -> Result<Connection, UpstreamError> {
        let upstream = Upstream { tls: false, ..self.upstream.clone() };
        Ok(Connection::new(dial(&upstream, &UpstreamTls::default(), Offer::Http1).await?))
    }

    /// A stream in HTTP/2, or a connection in HTTP/1.1 if the service has no better.
    ///
    /// # Errors
    /// See [`Pool::dial`].
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub(crate) async fn lease(&self) -> Result<Leased, UpstreamError> {
        if self.http2.has_declined()
            && let Some(connection) = self.http1.take()
        {
            return Ok(Leased::Http1(connection));
        }
        self.http2.lease().await
    }
}
