//! Whether the local service can be asked: an optional check, repeated for as long as the agent lives.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::{interval, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use crate::{
    Http2, Upstream, UpstreamTls,
    board::{Board, Health},
    upstream::{Offer, UpstreamError, dial},
};

/// Longest time that a check may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Failures in a row after which the service cannot be asked. One may be chance.
const FAILURES: u32 = 2;

/// How to know whether a service can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// It accepts connections.
    Tcp(Upstream),
    /// It answers GET with a status of success or redirection.
    Http {
        /// Who is asked.
        upstream: Upstream,
        /// Path and query.
        path: String,
    },
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(_) => f.write_str("tcp"),
            Self::Http { upstream, path } => write!(f, "{upstream}{path}"),
        }
    }
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("no answer to the health check: {0}")]
    Http(#[from] hyper::Error),
    #[error("the health check was answered with {0}")]
    Status(StatusCode),
    #[error("no answer to the health check within {0:?}")]
    Timeout(Duration),
    #[error("the health check cannot be asked: {0}")]
    Request(#[from] http::Error),
    #[error("the health check: {0}")]
    Io(#[from] io::Error),
}

/// Checks again and again, and writes every change on the board. Never ends.
pub(crate) async fn watch(check: HealthCheck, tls: UpstreamTls, every: Duration, board: Arc<Board>) {
    let mut verdict = Verdict::new();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let patience = TIMEOUT.min(every);
    loop {
        ticks.tick().await;
        let outcome =
            timeout(patience, probe(&check, &tls)).await.unwrap_or(Err(Unhealthy::Timeout(patience)));
        let failure = outcome.err();
        let Some(serving) = verdict.on_result(failure.is_none()) else { continue };
        let message = failure.map(|failure| failure.to_string()).unwrap_or_default();
        if serving {
            info!(%check, "the local service can be asked again");
        } else {
            warn!(%check, reason = message, "the local service cannot be asked; telling the gateway");
        }
        board.on_health(Health { serving, message });
    }
}

/// What a row of checks says. It takes two failures in a row to believe one, and one success.
#[derive(Debug)]
struct Verdict {
    serving: bool,
    failures: u32,
}

impl Verdict {
    fn new() -> Self {
        Self { serving: true, failures: 0 }
    }

    /// A check was made. Returns whether the service can be asked, if that has changed.
    fn on_result(&mut self, good: bool) -> Option<bool> {
        self.failures = if good { 0 } else { self.failures.saturating_add(1) };
        let serving = if self.serving { self.failures < FAILURES } else { good };
        let before = std::mem::replace(&mut self.serving, serving);
        (before != serving).then_some(serving)
    }
}

async fn probe(check: &HealthCheck, tls: &UpstreamTls) -> Result<(), Unhealthy> {
    let (upstream, path) = match check {
        HealthCheck::Tcp(upstream) => {
            let plain = Upstream { tls: false, ..upstream.clone() };
            dial(&plain, tls, Offer::Http1).await?;
            return Ok(());
        }
        HealthCheck::Http { upstream, path } => (upstream, path),
    };
    let stream = TokioIo::new(dial(upstream, tls, Offer::Http1).await?);
    let status = if upstream.http2 == Http2::Always && !upstream.tls {
        let (mut sender, connection) = conn::http2::handshake(TokioExecutor::new(), stream).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        sender
            .send_request(request(upstream, format!("http://{}{path}", upstream.host_field()))?)
            .await?
            .status()
    } else {
        let (mut sender, connection) = conn::http1::handshake(stream).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        sender.send_request(request(upstream, path.clone())?).await?.status()
    };
    // What it has to say is of no interest, and closing the connection says so.
    if status.is_success() || status.is_redirection() { Ok(()) } else { Err(Unhealthy::Status(status)) }
}

fn request(upstream: &Upstream, uri: String) -> Result<Request<Empty<Bytes>>, http::Error> {
    let agent = concat!("indranet-agent/", env!("CARGO_PKG_VERSION"));
    let request = Request::get(uri).header(header::USER_AGENT, agent);
    let request = match upstream.http2 {
        Http2::Always if !upstream.tls => request,
        _ => request.header(header::HOST, upstream.host_field()),
    };
    request.body(Empty::new())
}

#[cfg(test)]
mod tests;
