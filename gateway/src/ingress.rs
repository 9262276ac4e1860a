//! The one straight line from a client's request to its response.
//!
//! [`h1`] and [`h2`] speak with clients. What a request goes through is the same for both: [`Ingress::route`] finds the
//! session, [`Ingress::open`] the exchange, and [`answer`] is what comes back.

use std::sync::Arc;

use bytes::Bytes;
use link::{Abort, OpenError, Opened};
use proto::{AgentId, Fields, GatewayFrame, TunnelRequest, tunnel_close::Reason};
use session::{Authenticator, NotSent, Registry, ResponseHead, Session};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info};
use uuid::Uuid;

use crate::{
    acme::Challenges,
    client::Client,
    edge::{Admission, Edge},
    error::{self, Asked, IngressError, Pages},
    metrics::{Observation, Outcome, RequestMetrics},
    route::{self, Domains, Target},
};
use answer::{AnswerHead, Own};
use head::Head;
use request::Begun;

mod answer;
mod deadline;
mod download;
pub(crate) mod h1;
pub(crate) mod h2;
pub(crate) mod head;
mod passthrough;
pub(crate) mod public;
mod request;

/// The public side of a gateway.
pub(crate) struct Ingress {
    pub(crate) domains: Domains,
    pub(crate) edge: Arc<Edge>,
    pub(crate) pages: Pages,
    /// What is answered to an authority that looks whether a name leads here.
    pub(crate) challenges: Option<Arc<Challenges>>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) metrics: Arc<RequestMetrics>,
    pub(crate) draining: CancellationToken,
    pub(crate) uploads: TaskTracker,
}

/// Where a request goes.
pub(crate) struct Route {
    pub(crate) session: Arc<Session>,
    /// The host and port as the client sent them.
    pub(crate) authority: Bytes,
    /// What the edge let it in with.
    pub(crate) admission: Admission,
}

impl Ingress {
    /// Finds the session for a request that may have it.
    ///
    /// # Errors
    /// [`IngressError`] if there is none, the request does not say for whom it is, or may not go there.
    fn route(&self, head: &mut Head, client: &Client) -> Result<Route, IngressError> {
        if let Some(answer) = self.challenges.as_ref().and_then(|asked| asked.over_http(&head.target.path)) {
            return Err(IngressError::AcmeChallenge { answer });
        }
        let rules = self.edge.rules();
        // A certificate was shown for one host, and possibly rules of TLS applied that another would not have.
        if let Some(name) = &client.server_name
            && !route::is_for(head, name)
        {
            return Err(IngressError::Misdirected);
        }
        let Target { agent_id, authority } = self.domains.target(head, rules.hosts())?;
        let admission = self.edge.admit(&rules, &agent_id, &authority, head, client)?;
        Ok(Route { session: self.session(&agent_id, &admission)?, authority, admission })
    }

    /// Opens the exchange of a request with what of its body is there.
    ///
    /// # Errors
    /// [`IngressError`] if the request cannot be carried or the agent takes no more.
    fn open(
        &self,
        id: Uuid,
        route: Route,
        head: Head,
        begun: Begun,
    ) -> Result<Opened<GatewayFrame, ResponseHead>, IngressError> {
        let request = request::outgoing(id, head, route.authority, begun, &route.admission)?;
        self.metrics.received(request.body.len());
        self.call(&route.session, id, request)
    }

    /// Opens the exchange. A session that ends at this very moment is no reason to fail: its heir may be there already.
    fn call(
        &self,
        session: &Arc<Session>,
        id: Uuid,
        request: TunnelRequest,
    ) -> Result<Opened<GatewayFrame, ResponseHead>, IngressError> {
        let NotSent { error, request } = match session.call(id, request) {
            Ok(opened) => return Ok(opened),
            Err(not_sent) => not_sent,
        };
        match self.registry.pick(session.agent_id().as_str()) {
            Some(heir) if error == OpenError::Closed => {
                heir.call(id, *request).map_err(|again| refused(again.error))
            }
            _ => Err(refused(error)),
        }
    }

    fn session(&self, agent_id: &AgentId, admission: &Admission) -> Result<Arc<Session>, IngressError> {
        if let Some(session) = self.registry.pick(agent_id.as_str()) {
            return Ok(session);
        }
        if self.draining.is_cancelled() {
            return Err(IngressError::Draining);
        }
        if self.authenticator.credentials().knows(agent_id) {
            return Err(IngressError::AgentOffline { retry_after: admission.offline() });
        }
        Err(IngressError::AgentNotFound)
    }

    /// The answer to a request that no service answers.
    fn refuse(&self, id: Uuid, error: &IngressError, asked: &Asked, observation: &mut Observation) -> Own {
        info!(request = %id, method = asked.method(), code = error.code(), %error, "answered by the gateway");
        observation.ended(Outcome::Error(error.code()));
        let (parts, body) = error::respond(error, id, &asked.headers(), self.pages).into_parts();
        let mut fields = Fields::from(&parts.headers);
        let has_length = fields.contains("content-length");
        fields.remove("content-length");
        let head = AnswerHead {
            status: parts.status,
            reason: None,
            fields,
            content_length: has_length.then_some(body.len() as u64),
        };
        Own { head, body: if asked.is_head() { Bytes::new() } else { body } }
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
        Abort::Local(Reason::TooLarge) => IngressError::BodyTooLarge,
        Abort::Peer { reason: Reason::UpstreamConnect, .. } => IngressError::UpstreamRefused,
        Abort::Peer { reason: Reason::Refused, .. } => IngressError::Overloaded,
        Abort::Peer { reason: Reason::Timeout, .. } | Abort::Local(Reason::Timeout) => {
            IngressError::ResponseTimeout
        }
        Abort::Peer { .. } | Abort::Violation(_) => IngressError::UpstreamBadResponse,
        _ => IngressError::TunnelLost,
    }
}
