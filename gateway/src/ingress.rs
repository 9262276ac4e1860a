//! The one straight line from a client's request to its response.
//!
//! [`h1`] and [`h2`] speak with clients; [`passthrough`] leaves that to the service. What a request goes through is the same for both: [`Ingress::route`] finds the
//! agent, [`Ingress::session`] one of its sessions, [`Ingress::open`] opens the exchange, and [`answer`] is what comes back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use link::Abort;
use proto::{AgentId, Fields, tunnel_close::Reason};
use session::{Attempt, Authenticator, Dispatcher, OpenedExchange, Session, Unavailable};
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
    pub(crate) dispatcher: Dispatcher,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) metrics: Arc<RequestMetrics>,
    pub(crate) draining: CancellationToken,
    pub(crate) uploads: TaskTracker,
}

/// Where a request goes.
pub(crate) struct Route {
    pub(crate) agent_id: AgentId,
    /// The host and port as the client sent them.
    pub(crate) authority: Bytes,
    /// What the edge let it in with.
    pub(crate) admission: Admission,
}

impl Ingress {
    /// Finds the agent for a request that may have it.
    ///
    /// # Errors
    /// [`IngressError`] if the request does not say for whom it is, or may not go there.
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
        Ok(Route { agent_id, authority, admission })
    }

    /// One of the agent's sessions. If it was lost a moment ago, it may be back in another. `retry_after` is for clients of an
    /// agent that is not connected.
    ///
    /// # Errors
    /// [`IngressError`] if there is none.
    ///
    /// # Cancel safety
    /// Safe.
    async fn session(
        &self,
        agent_id: &AgentId,
        retry_after: Option<Duration>,
    ) -> Result<Arc<Session>, IngressError> {
        let is_known = || self.authenticator.credentials().knows(agent_id);
        // The agents of a gateway that ends come back to another one.
        let patience = if self.draining.is_cancelled() { Duration::ZERO } else { Duration::MAX };
        self.dispatcher.find(agent_id, patience, is_known).await.map_err(|unavailable| match unavailable {
            Unavailable::Offline if self.draining.is_cancelled() => IngressError::Draining,
            Unavailable::Offline if !is_known() => IngressError::AgentNotFound,
            unavailable => unsent(unavailable, retry_after),
        })
    }

    /// Opens the exchange of a request with what of its body is there.
    ///
    /// # Errors
    /// [`IngressError`] if the request cannot be carried or the agent takes no more.
    ///
    /// # Cancel safety
    /// Safe.
    async fn open(
        &self,
        id: Uuid,
        session: Arc<Session>,
        route: Route,
        head: Head,
        begun: Begun,
    ) -> Result<(OpenedExchange, Attempt), IngressError> {
        let Route { authority, admission, .. } = route;
        let request = request::outgoing(id, head, authority, begun, &admission)?;
        self.metrics.received(request.body.len());
        let opened = self.dispatcher.open(session, id, request).await;
        opened.map_err(|unavailable| unsent(unavailable, admission.offline()))
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

/// What the client is told of a request that no agent has seen.
fn unsent(unavailable: Unavailable, retry_after: Option<Duration>) -> IngressError {
    match unavailable {
        Unavailable::Offline => IngressError::AgentOffline { retry_after },
        Unavailable::Unhealthy => IngressError::AgentUnhealthy,
        Unavailable::Overloaded => IngressError::Overloaded,
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
