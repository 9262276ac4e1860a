//! One exchange: from the tunnel to the local service and back.

use std::{sync::Arc, time::Instant};

use link::TakenUp;
use proto::{AgentFrame, TunnelRequest, tunnel_close::Reason};
use uuid::Uuid;

use crate::{Event, Observer, UpstreamError, UpstreamPool};

mod request;
mod response;

type Sender = link::Sender<AgentFrame, std::convert::Infallible>;
type Receiver = link::Receiver<AgentFrame, std::convert::Infallible>;
type Exchange = TakenUp<AgentFrame, std::convert::Infallible>;

/// Serves exchanges from one local service.
pub(crate) struct Forwarder {
    pool: UpstreamPool,
    observer: Observer,
}

/// How an exchange went, for whoever watches.
struct Outcome {
    status: Option<u16>,
    bytes: u64,
    error: Option<String>,
}

impl Forwarder {
    pub(crate) fn new(pool: UpstreamPool, observer: Observer) -> Arc<Self> {
        Arc::new(Self { pool, observer })
    }

    /// Carries one exchange to its end.
    ///
    /// # Cancel safety
    /// Dropping the future aborts the exchange at both ends.
    pub(crate) async fn serve(&self, id: Uuid, request: TunnelRequest, exchange: Exchange) {
        let begun = Instant::now();
        let method = request.method.clone();
        let path = request.path.split('?').next().unwrap_or_default().to_owned();
        let client = request.client_addr.parse().ok();
        let outcome = self.forward(id, request, exchange).await;
        let duration = begun.elapsed();
        let Outcome { status, bytes, error } = outcome;
        (self.observer)(Event::Request { id, method, path, status, duration, bytes, error, client });
    }

    async fn forward(&self, id: Uuid, request: TunnelRequest, exchange: Exchange) -> Outcome {
        let TakenUp { mut sender, receiver } = exchange;
        let request = match request::build(id, request, receiver) {
            Ok(request) => request,
            Err(invalid) => {
                sender.abort(Reason::Protocol, &invalid.to_string());
                return Outcome::failed(invalid);
            }
        };
        let response = tokio::select! {
            response = self.pool.send(request) => response,
            abort = sender.stopped() => return Outcome::failed(abort),
        };
        match response {
            Ok(response) => response::send(id, response, sender).await,
            Err(error) => {
                let (reason, message) = blame(&error);
                sender.abort(reason, message);
                // What the gateway makes of it, unless its client left.
                let status = (reason != Reason::Cancelled).then_some(502);
                Outcome { status, ..Outcome::failed(error) }
            }
        }
    }
}

impl Outcome {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self { status: None, bytes: 0, error: Some(error.to_string()) }
    }
}

/// What the gateway may know of an error. Addresses and the system's words stay here.
fn blame(error: &UpstreamError) -> (Reason, &'static str) {
    match error {
        UpstreamError::Connect { .. } => (Reason::UpstreamConnect, "the local service cannot be reached"),
        UpstreamError::ConnectTimeout { .. } => {
            (Reason::UpstreamConnect, "the local service does not accept connections")
        }
        UpstreamError::RequestBody { .. } => (Reason::Cancelled, "the request broke off"),
        UpstreamError::BadResponse { .. } => {
            (Reason::UpstreamReset, "the local service did not answer in HTTP")
        }
        _ => (Reason::UpstreamReset, "the local service broke off before it answered"),
    }
}
