//! The one straight line from a client's request to its response.

use std::{convert::Infallible, sync::Arc};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{ACCEPT, CONTENT_TYPE},
};
use hyper::body::Incoming;
use link::{Abort, OpenError, Opened};
use proto::{AgentId, GatewayFrame, TunnelRequest, tunnel_close::Reason};
use session::{Authenticator, NotSent, Registry, ResponseHead, Session};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info};
use uuid::Uuid;

use crate::{
    client::Client,
    error::{self, IngressError},
    metrics::{Observation, Outcome, RequestMetrics},
    route::Domains,
};

mod body;
mod request;
mod response;
mod upload;

pub(crate) use body::ResponseBody;

/// The public side of a gateway.
pub(crate) struct Ingress {
    pub(crate) domains: Domains,
    pub(crate) registry: Arc<Registry>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) metrics: Arc<RequestMetrics>,
    pub(crate) draining: CancellationToken,
    pub(crate) uploads: TaskTracker,
}

impl Ingress {
    /// Answers one request, whatever happens.
    ///
    /// # Cancel safety
    /// Dropping the future, or the response's body, cancels the request at the agent.
    pub(crate) async fn handle(
        &self,
        request: Request<Incoming>,
        client: &Client,
    ) -> Result<Response<ResponseBody>, Infallible> {
        let id = Uuid::new_v4();
        let mut observation = self.metrics.begin();
        let asked = Asked::of(&request);
        let response = match self.forward(id, request, client).await {
            Ok(answer) => {
                debug!(request = %id, status = answer.head.status.as_u16(), "head received");
                response::relay(id, &asked.method, answer, observation)
            }
            Err(error) => {
                info!(request = %id, method = %asked.method, code = error.code(), %error, "answered by the gateway");
                observation.ended(Outcome::Error(error.code()));
                self.refuse(id, &error, &asked, observation)
            }
        };
        Ok(response)
    }

    async fn forward(
        &self,
        id: Uuid,
        request: Request<Incoming>,
        client: &Client,
    ) -> Result<response::Answer, IngressError> {
        let (parts, body) = request.into_parts();
        let target = self.domains.target(&parts)?;
        let session = self.session(&target.agent_id)?;
        let outgoing =
            request::outgoing(id, parts, body, client.addr, target.authority, session.inline_limit())?;
        self.metrics.received(outgoing.head.body.len());
        let Opened { sender, mut receiver } = self.call(session, id, outgoing.head)?;
        if let Some(sender) = sender {
            let metrics = Arc::clone(&self.metrics);
            self.uploads.spawn(upload::run(outgoing.rest, sender, client.clone(), metrics));
        }
        let head = receiver.head().await.map_err(aborted)?;
        Ok(response::Answer { head, receiver })
    }

    /// Opens the exchange. A session that ends at this very moment is no reason to fail: its heir may be there already.
    fn call(
        &self,
        session: Arc<Session>,
        id: Uuid,
        request: TunnelRequest,
    ) -> Result<Opened<GatewayFrame, ResponseHead>, IngressError> {
        let not_sent = match session.call(id, request) {
            Ok(opened) => return Ok(opened),
            Err(not_sent) => not_sent,
        };
        let heir =
            self.registry.pick(session.agent_id().as_str()).filter(|heir| !Arc::ptr_eq(heir, &session));
        match (not_sent, heir) {
            (NotSent { error: OpenError::Closed, request }, Some(heir)) => {
                heir.call(id, *request).map_err(|again| refused(again.error))
            }
            (NotSent { error, .. }, _) => Err(refused(error)),
        }
    }

    fn session(&self, agent_id: &AgentId) -> Result<Arc<Session>, IngressError> {
        if let Some(session) = self.registry.pick(agent_id.as_str()) {
            return Ok(session);
        }
        if self.draining.is_cancelled() {
            return Err(IngressError::Draining);
        }
        if self.authenticator.credentials().knows(agent_id) {
            return Err(IngressError::AgentOffline { retry_after: None });
        }
        Err(IngressError::AgentNotFound)
    }

    fn refuse(
        &self,
        id: Uuid,
        error: &IngressError,
        asked: &Asked,
        observation: Observation,
    ) -> Response<ResponseBody> {
        let response = error::respond(error, id, &asked.headers());
        let head_only = asked.method == Method::HEAD;
        response
            .map(|body| ResponseBody::own(if head_only { bytes::Bytes::new() } else { body }, observation))
    }
}

/// What of a request shapes an answer that the gateway gives by itself.
struct Asked {
    method: Method,
    accept: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
}

impl Asked {
    fn of(request: &Request<Incoming>) -> Self {
        let given = |name| request.headers().get(name).cloned();
        Self { method: request.method().clone(), accept: given(ACCEPT), content_type: given(CONTENT_TYPE) }
    }

    fn headers(&self) -> HeaderMap {
        let fields = [(ACCEPT, &self.accept), (CONTENT_TYPE, &self.content_type)];
        fields.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

fn refused(error: OpenError) -> IngressError {
    match error {
        OpenError::Full => IngressError::Overloaded,
        _ => IngressError::TunnelLost,
    }
}

/// What the client is told of an exchange that ended before its head. What it was exactly is in the logs.
fn aborted(abort: Abort) -> IngressError {
    debug!(%abort, "exchange ended before its head");
    match abort {
        Abort::Local(Reason::Cancelled) => IngressError::ClientGone,
        Abort::Peer { reason: Reason::UpstreamConnect, .. } => IngressError::UpstreamRefused,
        Abort::Peer { reason: Reason::Refused, .. } => IngressError::Overloaded,
        Abort::Peer { reason: Reason::Timeout, .. } | Abort::Local(Reason::Timeout) => {
            IngressError::ResponseTimeout
        }
        Abort::Peer { .. } | Abort::Violation(_) => IngressError::UpstreamBadResponse,
        _ => IngressError::TunnelLost,
    }
}
