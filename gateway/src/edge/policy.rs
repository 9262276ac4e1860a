//! What is asked of a request before it may go to its agent.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use proto::{AgentId, Fields};
use session::{Limiter, Rate, client_key};

use super::{
    access::Access,
    basic_auth::{Claim, Users},
    field_changes::FieldChanges,
    settings::{DefaultSettings, OfflineStatus},
};
use crate::{error::IngressError, ingress::head::Head};

/// Wrong passwords of one client: ten at once, then ten a minute.
const ATTEMPTS: (f64, u32) = (1.0 / 6.0, 10);
/// The port that nobody writes.
const HTTPS: u16 = 443;
/// When to try an agent again that is not connected.
const RETRY_OFFLINE: Duration = Duration::from_secs(10);

/// The policy of an agent. An agent that nothing is asked for has none.
#[derive(Debug)]
pub(crate) struct Policy {
    access: Access,
    redirect_to_https: bool,
    rate_per_client: Option<Rate>,
    rate_per_agent: Option<Rate>,
    users: Option<Users>,
    attempts: Rate,
    forward_authorization: bool,
    pub(super) max_body: Option<u64>,
    offline: Option<Duration>,
    pub(crate) request_fields: FieldChanges,
    response_fields: FieldChanges,
}

/// A request that stands before the door.
#[derive(Clone, Copy, Debug)]
pub(super) struct Visit<'a> {
    pub(super) agent_id: &'a AgentId,
    /// Host and port that it asks for.
    pub(super) authority: &'a Bytes,
    /// Whom it comes from in the end.
    pub(super) visitor: IpAddr,
    pub(super) scheme: &'static str,
    /// Where https is.
    pub(super) https_port: u16,
    pub(super) now: Instant,
}

impl Policy {
    /// The policy that merged settings make, unless they ask for nothing.
    pub(crate) fn new(settings: DefaultSettings) -> Option<Self> {
        let offline = settings.offline_status == Some(OfflineStatus::Unavailable);
        let retry_after = settings.offline_retry_after.map_or(RETRY_OFFLINE, |span| span.0);
        let (per_second, burst) = ATTEMPTS;
        let policy = Self {
            access: Access {
                allow: settings.allow.unwrap_or_default(),
                deny: settings.deny.unwrap_or_default(),
            },
            redirect_to_https: settings.redirect_to_https.unwrap_or(false),
            rate_per_client: settings.rate_per_client,
            rate_per_agent: settings.rate_per_agent,
            users: settings.basic_auth.filter(|users| !users.is_empty()).map(Users::new),
            attempts: Rate::new(per_second, burst).expect("the constant is a rate"),
            forward_authorization: settings.forward_authorization.unwrap_or(false),
            max_body: settings.max_body.map(|size| size.0),
            offline: offline.then_some(retry_after),
            request_fields: settings.request_headers.unwrap_or_default(),
            response_fields: settings.response_headers.unwrap_or_default(),
        };
        policy.asks_something().then_some(policy)
    }

    fn asks_something(&self) -> bool {
        !self.access.is_open()
            || self.redirect_to_https
            || self.rate_per_client.is_some()
            || self.rate_per_agent.is_some()
            || self.users.is_some()
            || self.max_body.is_some()
            || self.offline.is_some()
            || !self.request_fields.is_empty()
            || !self.response_fields.is_empty()
    }

    /// Lets a request in or says why not. What is cheap and keeps strangers out comes first.
    ///
    /// # Errors
    /// [`IngressError`] is what the client is told.
    pub(super) fn admit(
        &self,
        head: &mut Head,
        visit: Visit<'_>,
        limiter: &Limiter,
    ) -> Result<(), IngressError> {
        if !self.access.permits(visit.visitor) {
            return Err(IngressError::Forbidden);
        }
        if self.redirect_to_https && visit.scheme == "http" {
            return Err(to_https(visit.authority, visit.https_port, &head.target.path));
        }
        self.limit(visit, limiter)?;
        self.authenticate(head, visit, limiter)
    }

    /// Whether an address may ask at all.
    pub(super) fn permits(&self, visitor: IpAddr) -> bool {
        self.access.permits(visitor)
    }

    fn limit(&self, visit: Visit<'_>, limiter: &Limiter) -> Result<(), IngressError> {
        let Visit { agent_id, visitor, now, .. } = visit;
        if let Some(rate) = self.rate_per_client {
            let key = ("client", agent_id, client_key(visitor));
            limiter.take(key, rate, now).map_err(too_often)?;
        }
        if let Some(rate) = self.rate_per_agent {
            limiter.take(("agent", agent_id), rate, now).map_err(too_often)?;
        }
        Ok(())
    }

    fn authenticate(&self, head: &mut Head, visit: Visit<'_>, limiter: &Limiter) -> Result<(), IngressError> {
        let Some(users) = &self.users else { return Ok(()) };
        let claim = Claim::of(&head.fields).ok_or(IngressError::Unauthorized)?;
        if !users.remember(&claim) {
            let key = ("password", visit.agent_id, client_key(visit.visitor));
            limiter.check(key, self.attempts, visit.now).map_err(too_often)?;
            if !users.verify(&claim) {
                // Checked above; another thread that was faster costs this client nothing.
                let _ = limiter.take(key, self.attempts, visit.now);
                return Err(IngressError::Unauthorized);
            }
        }
        if !self.forward_authorization {
            head.fields.remove("authorization");
        }
        Ok(())
    }

    /// What a client is told while the agent is not connected: when to try again, or nothing.
    pub(crate) fn offline(&self) -> Option<Duration> {
        self.offline
    }

    /// Changes the head of the service's answer. What the gateway says itself stays as it is.
    pub(crate) fn on_response(&self, fields: &mut Fields) {
        self.response_fields.apply(fields);
    }
}

fn too_often(retry_after: Duration) -> IngressError {
    IngressError::RateLimited { retry_after }
}

/// Sends a client to the same resource over https.
pub(super) fn to_https(authority: &[u8], https_port: u16, path: &[u8]) -> IngressError {
    let port = authority.iter().rposition(|byte| *byte == b':');
    // The colons inside an address in brackets are no port's.
    let port = port.filter(|colon| authority[*colon..].iter().all(|byte| *byte != b']'));
    let path = if path == b"*" { b"/" } else { path };
    let mut location = BytesMut::with_capacity(16 + authority.len() + path.len());
    location.put_slice(b"https://");
    location.put_slice(&authority[..port.unwrap_or(authority.len())]);
    if https_port != HTTPS {
        location.put_slice(format!(":{https_port}").as_bytes());
    }
    location.put_slice(path);
    IngressError::HttpsOnly { location: location.freeze() }
}

#[cfg(test)]
mod tests;
