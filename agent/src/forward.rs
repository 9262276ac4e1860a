//! One exchange: from the tunnel to the local service and back.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use http1::{HeadError, ResponseHead, WrongLength};
use link::{Abort, TakenUp};
use proto::{AgentFrame, TunnelRequest, tunnel_close::Reason};
use tracing::debug;
use uuid::Uuid;

use self::{
    exchange::{Answer, Exchange},
    request::{InvalidRequest, Request},
};
use crate::{
    Event, Observer,
    upstream::{Pool, UpstreamError},
};

mod download;
mod exchange;
mod forwarded;
mod request;
mod response;
mod upgrade;
mod upload;

type Sender = link::Sender<AgentFrame, std::convert::Infallible>;
type Receiver = link::Receiver<AgentFrame, std::convert::Infallible>;

/// Most interim responses that are passed on. The gateway takes no more.
const MAX_INTERIMS: u32 = 16;

/// Serves exchanges from one local service.
pub(crate) struct Forwarder {
    pool: Pool,
    observer: Observer,
}

/// How an exchange went, for whoever watches.
#[derive(Debug, Default)]
struct Outcome {
    status: Option<u16>,
    bytes: u64,
    error: Option<String>,
}

/// Why an exchange did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It was aborted, or the gateway wants no more.
    #[error(transparent)]
    Exchange(Abort),
    /// The gateway sent a request that nobody can have sent to it.
    #[error(transparent)]
    Request(#[from] InvalidRequest),
    /// The request ended otherwise than its head told.
    #[error(transparent)]
    Length(WrongLength),
    /// The local service is at fault.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Forwarder {
    pub(crate) fn new(pool: Pool, observer: Observer) -> Arc<Self> {
        Arc::new(Self { pool, observer })
    }

    /// Carries one exchange to its end. `inline` is as much of a body as may travel inside a head.
    ///
    /// # Cancel safety
    /// Dropping the future aborts the exchange at both ends.
    pub(crate) async fn serve(
        &self,
        id: Uuid,
        request: TunnelRequest,
        exchange: TakenUp<AgentFrame, std::convert::Infallible>,
        inline: usize,
    ) {
        let begun = Instant::now();
        let method = String::from_utf8_lossy(&request.method).into_owned();
        let path = request.path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = String::from_utf8_lossy(path).into_owned();
        let client = request.client_addr.parse().ok();
        let outcome = self.forward(id, request, client, exchange, inline).await;
        let duration = begun.elapsed();
        let Outcome { status, bytes, error } = outcome;
        (self.observer)(Event::Request { id, method, path, status, duration, bytes, error, client });
    }

    async fn forward(
        &self,
        id: Uuid,
        request: TunnelRequest,
        client: Option<SocketAddr>,
        exchange: TakenUp<AgentFrame, std::convert::Infallible>,
        inline: usize,
    ) -> Outcome {
        let TakenUp { mut sender, receiver } = exchange;
        match self.ask(id, request, client, receiver, &mut sender).await {
            Ok((head, exchange)) if head.is_switching() => upgrade::run(id, head, exchange, sender).await,
            Ok((head, exchange)) => response::relay(id, head, exchange, sender, &self.pool, inline).await,
            Err(failure) => Outcome::default().fail(failure, sender),
        }
    }

    /// Sends the request and passes on what the service says before its final head.
    async fn ask(
        &self,
        id: Uuid,
        request: TunnelRequest,
        client: Option<SocketAddr>,
        receiver: Receiver,
        sender: &mut Sender,
    ) -> Result<(ResponseHead, Exchange), Failure> {
        let request = Request::new(request, client)?;
        let (mut exchange, mut answer) = Exchange::begin(&request, receiver, &self.pool, sender).await?;
        // It is a part of what was read from the link, which a long response need not keep alive.
        drop(request);
        let mut interims = 0;
        let mut asked = false;
        loop {
            match answer {
                Answer::Head(head) if !head.is_interim() => return Ok((head, exchange)),
                Answer::Silence => {
                    asked = true;
                    response::proceed(id, sender);
                    exchange.on_continue();
                }
                Answer::Head(head) => {
                    let proceed = head.status == 100;
                    if proceed {
                        exchange.on_continue();
                    }
                    if interims < MAX_INTERIMS && !(proceed && asked) {
                        interims += 1;
                        response::interim(id, head, sender).map_err(UpstreamError::Fields)?;
                    }
                }
            }
            answer = exchange.answer(sender).await?;
        }
    }
}

impl Outcome {
    /// Aborts an exchange that has no head yet.
    fn fail(self, failure: impl Into<Failure>, sender: Sender) -> Self {
        let failure = failure.into();
        let reason = abort(&failure, sender, false);
        // What the gateway makes of it, unless its client left.
        let status = reason.filter(|reason| *reason != Reason::Cancelled).map(|_| 502);
        Self { status, error: Some(failure.to_string()), ..self }
    }

    /// Aborts an exchange whose head has left.
    fn cut(self, failure: Failure, sender: Sender) -> Self {
        abort(&failure, sender, true);
        Self { error: Some(failure.to_string()), ..self }
    }
}

/// Tells the gateway, unless it knows.
fn abort(failure: &Failure, sender: Sender, begun: bool) -> Option<Reason> {
    let (reason, message) = blame(failure, begun)?;
    debug!(%failure, "exchange aborted");
    sender.abort(reason, message);
    Some(reason)
}

/// What the gateway may know of an error. Addresses and the system's words stay here.
fn blame(failure: &Failure, begun: bool) -> Option<(Reason, &'static str)> {
    Some(match failure {
        Failure::Exchange(_) => return None,
        Failure::Request(_) => (Reason::Protocol, "the request is none that HTTP can carry"),
        Failure::Length(_) => (Reason::Protocol, "the request's body is not as long as it declared"),
        Failure::Upstream(error) => match error {
            UpstreamError::Connect { .. } => (Reason::UpstreamConnect, "the local service cannot be reached"),
            UpstreamError::ConnectTimeout { .. } => {
                (Reason::UpstreamConnect, "the local service does not accept connections")
            }
            UpstreamError::Head(HeadError::TooLarge | HeadError::TooManyFields) | UpstreamError::Fields(_) => {
                (Reason::TooLarge, "the local service answered with too large a head")
            }
            UpstreamError::Head(_) | UpstreamError::Status(_) => (Reason::UpstreamReset, "the local service did not answer in HTTP"),
            _ if begun => (Reason::UpstreamReset, "the local service broke off in the middle"),
            _ => (Reason::UpstreamReset, "the local service broke off before it answered"),
        },
    })
}

#[cfg(test)]
mod tests;
