//! One exchange: from the tunnel to the local service and back.

use std::{convert::Infallible, sync::Arc, time::Instant};

use http1::{HeadError, ResponseHead, WrongLength};
use link::{Abort, TakenUp};
use proto::{AgentFrame, tunnel_close::Reason};
use tokio_util::task::TaskTracker;
use tracing::debug;
use uuid::Uuid;

use self::{
    exchange::{Answer, Exchange},
    interim::Interims,
    request::{InvalidRequest, Request},
};
use crate::{
    Event, Observer,
    upstream::{Leased, Service, UpstreamError},
    world::{Arrival, Serve},
};

mod download;
mod exchange;
mod forwarded;
mod http2;
mod interim;
mod passthrough;
mod request;
mod response;
mod routes;
mod upgrade;
mod upload;

type Sender = link::Sender<AgentFrame, Infallible>;
type Receiver = link::Receiver<AgentFrame, Infallible>;

pub(crate) use routes::Routes;

/// Serves exchanges from local services.
pub(crate) struct Forwarder {
    routes: Routes,
    observer: Observer,
}

/// How an exchange went, for whoever watches.
#[derive(Debug, Default)]
struct Outcome {
    status: Option<u16>,
    bytes: u64,
    error: Option<String>,
    /// Whether the service gave no response at all, and is to blame for it.
    unanswered: bool,
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
    /// The gateway wants to pass a client's TLS through.
    #[error("the gateway passes TLS through to this agent, which does not take it without --passthrough")]
    Sealed,
    /// The request ended otherwise than its head told.
    #[error(transparent)]
    Length(WrongLength),
    /// The local service is at fault.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Forwarder {
    pub(crate) fn new(routes: Routes, observer: Observer) -> Arc<Self> {
        Arc::new(Self { routes, observer })
    }

    /// Carries one exchange to its end.
    ///
    /// # Cancel safety
    /// Dropping the future aborts the exchange at both ends.
    pub(crate) fn serve(self: Arc<Self>, mut arrival: Arrival) -> impl Future<Output = ()> + Send + 'static {
        let begun = Instant::now();
        let frame = &mut arrival.request;
        let method = String::from_utf8_lossy(&frame.method).into_owned();
        let path = frame.path.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = String::from_utf8_lossy(path).into_owned();
        let client = frame.client_addr.parse().ok();
        let sealed = passthrough::is_asked(frame).then(|| frame.id.clone());
        // Not inside the future: what is moved into a task is copied, and a frame is large.
        let (destination, seen) = self.routes.pick(&frame.path);
        frame.path = seen;
        let request = Request::new(arrival.request, client, destination.host.as_ref());
        let Arrival { id, exchange, inline, .. } = arrival;
        let service = Arc::clone(&destination.service);
        async move {
            let outcome = match sealed {
                None => forward(id, request, &service, exchange, inline).await,
                Some(id) if self.routes.passes_through => {
                    Box::pin(passthrough::run(id, &service, exchange)).await
                }
                Some(_) => Outcome::default().fail(Failure::Sealed, exchange.sender),
            };
            let duration = begun.elapsed();
            let Outcome { status, bytes, error, unanswered } = outcome;
            if unanswered && let Some(error) = &error {
                service.on_unanswered(error);
            }
            (self.observer)(Event::Request { id, method, path, status, duration, bytes, error, client });
        }
    }
}

impl Serve for Forwarder {
    fn take_on(self: Arc<Self>, arrival: Arrival, tasks: &TaskTracker) {
        tasks.spawn(self.serve(arrival));
    }
}

async fn forward(
    id: Uuid,
    request: Result<Request, InvalidRequest>,
    service: &Service,
    exchange: TakenUp<AgentFrame, Infallible>,
    inline: usize,
) -> Outcome {
    let TakenUp { mut sender, receiver } = exchange;
    let request = match request {
        Ok(request) => request,
        Err(invalid) => return Outcome::default().fail(invalid, sender),
    };
    let connection = match connect(service, &request, &mut sender).await {
        Ok(Leased::Http1(connection)) => connection,
        Ok(Leased::Http2(lease)) => {
            // Boxed, as everything is that is not the usual way: a task is as large as its largest branch.
            return Box::pin(http2::serve(id, request, receiver, sender, lease, service, inline)).await;
        }
        Err(failure) => return Outcome::default().fail(failure, sender),
    };
    let mut exchange = Exchange::new(connection, &request, receiver);
    match ask(id, request, service, &mut exchange, &mut sender).await {
        Ok(head) if head.is_switching() => Box::pin(upgrade::run(id, head, exchange, sender)).await,
        Ok(head) => response::relay(id, head, exchange, sender, inline, &service.http1).await,
        Err(failure) => Outcome::default().fail(failure, sender),
    }
}

/// What the request can be sent on.
async fn connect(service: &Service, request: &Request, sender: &mut Sender) -> Result<Leased, Failure> {
    if !service.prefers_http2(request.is_upgrade(), || request.is_grpc()) {
        return exchange::connect(&service.http1, sender).await.map(Leased::Http1);
    }
    tokio::select! {
        leased = Box::pin(service.lease()) => Ok(leased?),
        abort = sender.stopped() => Err(Failure::Exchange(abort)),
    }
}

/// Sends the request and passes on what the service says before its final head.
async fn ask(
    id: Uuid,
    request: Request,
    service: &Service,
    exchange: &mut Exchange,
    sender: &mut Sender,
) -> Result<ResponseHead, Failure> {
    let mut answer = exchange.begin(&request, &service.http1, sender).await?;
    // It is a part of what was read from the link, which a long response need not keep alive.
    drop(request);
    let mut interims = Interims::new(id);
    loop {
        match answer {
            Answer::Head(head) if !head.is_interim() => {
                // One that answers well before it asks reads on; one that refuses wants no body (RFC 9110, 10.1.1).
                if head.status < 400 {
                    exchange.on_continue();
                }
                return Ok(head);
            }
            Answer::Silence => {
                interims.proceed(sender);
                exchange.on_continue();
            }
            Answer::Head(mut head) => {
                if head.status == 100 {
                    exchange.on_continue();
                }
                interims.pass_on(response::frame(id, &mut head)?, sender);
            }
        }
        answer = exchange.answer(sender).await?;
    }
}

impl Outcome {
    /// Aborts an exchange that has no head yet.
    fn fail(self, failure: impl Into<Failure>, sender: Sender) -> Self {
        let failure = failure.into();
        let reason = abort(&failure, sender, false);
        // What the gateway makes of it, unless its client left.
        let status = reason.filter(|reason| *reason != Reason::Cancelled).map(|_| 502);
        let unanswered = matches!(failure, Failure::Upstream(_));
        Self { status, error: Some(failure.to_string()), unanswered, ..self }
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
        Failure::Sealed => (Reason::Refused, "this agent takes no TLS of clients"),
        Failure::Length(_) => (Reason::Protocol, "the request's body is not as long as it declared"),
        Failure::Upstream(error) => match error {
            UpstreamError::Connect { .. } | UpstreamError::Tls { .. } => {
                (Reason::UpstreamConnect, "the local service cannot be reached")
            }
            UpstreamError::ConnectTimeout { .. } => {
                (Reason::UpstreamConnect, "the local service does not accept connections")
            }
            UpstreamError::Head(HeadError::TooLarge | HeadError::TooManyFields)
            | UpstreamError::Fields(_) => {
                (Reason::TooLarge, "the local service answered with too large a head")
            }
            UpstreamError::Head(_) | UpstreamError::Status(_) => {
                (Reason::UpstreamReset, "the local service did not answer in HTTP")
            }
            _ if begun => (Reason::UpstreamReset, "the local service broke off in the middle"),
            _ => (Reason::UpstreamReset, "the local service broke off before it answered"),
        },
    })
}

#[cfg(test)]
mod tests;
