//! What the public side asks of requests before they reach an agent, and whose word counts there.
//!
//! - `Edge`: the only thing that the ingress talks to. `Edge::admit` is synchronous: no request waits here, and nothing is
//!   polled. An agent that has no `Policy` costs a look into a table.
//! - [`Policies`], [`AgentSettings`], [`DefaultSettings`]: what stands in the configuration file, checked when it is read.
//! - `forwarding`, `proxy_protocol`, `hops`: where a request comes from.
//!
//! Invariant: nothing here repeats a password, an `authorization` field or the value of a field from the configuration.

mod access;
mod basic_auth;
mod body_limit;
mod field_changes;
mod forwarding;
mod hops;
mod host;
mod network;
mod password;
mod policies;
mod policy;
pub(crate) mod proxy_protocol;
mod rules;
mod settings;
mod size;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use http::HeaderMap;
use proto::{AgentId, Fields};
use session::Visitor;

pub use basic_auth::{InvalidUser, User};
pub use field_changes::{FieldChanges, FieldName, FieldValue};
pub use host::{HostPattern, InvalidHost, MAX_HOST, is_host_name};
pub use network::{InvalidNetwork, Network};
pub use password::{InvalidPasswordHash, PasswordHash};
pub use policies::{InvalidPolicies, Policies};
pub use session::{InvalidRate, Rate};
pub use settings::{
    Absent, AgentSettings, DefaultSettings, Id, InvalidOfflineStatus, InvalidTimeout, OfflineStatus,
    Settings, Timeout,
};
pub use size::{InvalidSize, Size};

pub(crate) use body_limit::{BodyLimit, TooLarge};
pub(crate) use forwarding::{is_claim, scheme};
pub(crate) use hops::{FIELD as HOPS, Loop, next as next_hop};
pub(crate) use host::Hosts;
pub(crate) use policy::Policy;
pub(crate) use rules::Rules;

use crate::{EdgeConfig, client::Client, error::IngressError, ingress::head::Head};
use forwarding::TrustedProxies;
use policy::Visit;
use session::Limiter;

/// The rules of the public side.
#[derive(Debug)]
pub(crate) struct Edge {
    trusted: TrustedProxies,
    proxy_protocol: bool,
    redirect_to_https: bool,
    /// Where https is, as clients reach it.
    https_port: u16,
    max_body: Option<u64>,
    rules: ArcSwap<Rules>,
    limiter: Limiter,
}

/// A request that may go on.
#[derive(Debug)]
pub(crate) struct Admission {
    /// Its client, as far as it is known now.
    pub(crate) client: Client,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) body: BodyLimit,
}

impl Admission {
    /// What a client of an agent that is not connected is told: when to try again, or nothing.
    pub(crate) fn offline(&self) -> Option<Duration> {
        self.policy.as_ref()?.offline()
    }
}

impl Edge {
    /// Rules that send clients to `https_port`, if they send them to https.
    pub(crate) fn new(config: &EdgeConfig, https_port: u16) -> Self {
        Self {
            redirect_to_https: config.redirect_to_https,
            https_port,
            trusted: TrustedProxies::new(config.trusted_proxies.clone()),
            proxy_protocol: config.proxy_protocol,
            max_body: config.max_body,
            rules: ArcSwap::from_pointee(Rules::new(&config.policies)),
            limiter: Limiter::new(Instant::now()),
        }
    }

    /// The rules of the moment.
    pub(crate) fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    /// Exchanges the rules. Requests that were let in stay in; what was counted about clients still counts.
    pub(crate) fn replace(&self, policies: &Policies) {
        self.rules.store(Arc::new(Rules::new(policies)));
    }

    /// Who sends requests on a connection from `addr`.
    pub(crate) fn client(&self, addr: SocketAddr, scheme: &'static str) -> Client {
        Client { addr, scheme, is_trusted: self.trusted.contains(addr.ip()), server_name: None }
    }

    /// Whether `address` is a proxy's, behind which there are many clients.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.contains(address)
    }

    /// Whether a connection must begin with a PROXY header. Of those who are not trusted nobody reads one.
    pub(crate) fn expects_proxy_header(&self, client: &Client) -> bool {
        self.proxy_protocol && client.is_trusted
    }

    /// Lets a request in or says why not.
    ///
    /// # Errors
    /// [`IngressError`] is what the client is told.
    pub(crate) fn admit(
        &self,
        rules: &Rules,
        agent_id: &AgentId,
        authority: &Bytes,
        head: &mut Head,
        client: &Client,
    ) -> Result<Admission, IngressError> {
        let client = client.as_told(&head.fields);
        if self.redirect_to_https && client.scheme == "http" {
            return Err(policy::to_https(authority, self.https_port, &head.target.path));
        }
        let policy = rules.policy(agent_id);
        if let Some(policy) = policy {
            let visitor = self.visitor(&client, head);
            let (scheme, https_port) = (client.scheme, self.https_port);
            let visit = Visit { agent_id, authority, visitor, scheme, https_port, now: Instant::now() };
            policy.admit(head, visit, &self.limiter)?;
        }
        let body = BodyLimit::new(policy.and_then(|policy| policy.max_body).or(self.max_body));
        body.check_declared(&head.fields)?;
        Ok(Admission { client, policy: policy.cloned(), body })
    }

    /// Whether a client may have a connection to an agent's service. What is said on it nobody here can judge.
    pub(crate) fn lets_pass(&self, agent_id: &AgentId, client: &Client) -> bool {
        let rules = self.rules();
        rules.policy(agent_id).is_none_or(|policy| policy.permits(client.addr.ip().to_canonical()))
    }

    /// Whose failures to authenticate count on an agents' port: those of whom a trusted proxy speaks for, and if it does
    /// not say, nobody's. Many agents may come through it.
    pub(crate) fn speaking_for(&self, visitor: Visitor, peer: SocketAddr, headers: &HeaderMap) -> Visitor {
        if !self.trusted.contains(peer.ip()) {
            return visitor;
        }
        let mut fields = Fields::new();
        for value in headers.get_all("x-forwarded-for") {
            fields.push("x-forwarded-for", Bytes::copy_from_slice(value.as_bytes()));
        }
        let client = self.trusted.visitor(peer.ip(), &fields);
        visitor.on_behalf_of(Some(client).filter(|client| !self.trusted.contains(*client)))
    }

    fn visitor(&self, client: &Client, head: &Head) -> IpAddr {
        if client.is_trusted {
            self.trusted.visitor(client.addr.ip(), &head.fields)
        } else {
            client.addr.ip().to_canonical()
        }
    }
}
