//! Policies as they stand in the configuration file.

use cli::Span;
use serde::{Deserialize, Serialize};
use session::{Instances, Rate};

use super::{basic_auth::User, field_changes::FieldChanges, host::HostPattern, network::Network, size::Size};

mod values;

pub use values::{Absent, Id, InvalidOfflineStatus, InvalidTimeout, OfflineStatus, Timeout};

/// What is said about one agent, a table `[[agent]]`.
pub type AgentSettings = Settings<Id, Vec<HostPattern>>;
/// What is said about all agents, the table `[agent_defaults]`. An agent's own word goes before it, key by key.
pub type DefaultSettings = Settings<Absent, Absent>;

/// The keys of both tables. What is missing is up to the other table, or does not happen.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings<I, H: Default> {
    /// Whom the table is about.
    pub id: I,
    /// Host names of its own.
    #[serde(default)]
    pub hosts: H,
    /// Host names for which the service ends the TLS of clients itself.
    #[serde(default)]
    pub passthrough: H,
    /// Networks that may ask; all, if there are none.
    pub allow: Option<Vec<Network>>,
    /// Networks that may not, even if they are among the allowed.
    pub deny: Option<Vec<Network>>,
    /// Users, one of whom a client must be.
    pub basic_auth: Option<Vec<User>>,
    /// Whether the service sees the field that the gateway has checked.
    pub forward_authorization: Option<bool>,
    /// Whether clients on plain HTTP are sent to https.
    pub redirect_to_https: Option<bool>,
    /// The longest request body.
    pub max_body: Option<Size>,
    /// How long the service may take to begin its answer.
    pub response_timeout: Option<Timeout>,
    /// What becomes of other processes of the agent when one connects.
    pub instances: Option<Instances>,
    /// What a client is told while the agent is not connected: 404, or 503.
    pub offline_status: Option<OfflineStatus>,
    /// With 503: when to try again.
    pub offline_retry_after: Option<Span>,
    /// How often one client may ask.
    pub rate_per_client: Option<Rate>,
    /// How often all clients together may ask.
    pub rate_per_agent: Option<Rate>,
    /// Changes to what the service is sent.
    pub request_headers: Option<FieldChanges>,
    /// Changes to what the service answers.
    pub response_headers: Option<FieldChanges>,
}

impl<I, H: Default> Settings<I, H> {
    /// What is said here, and what is said there about everything else.
    pub(super) fn over(&self, below: &DefaultSettings) -> DefaultSettings {
        fn pick<T: Clone>(here: &Option<T>, below: &Option<T>) -> Option<T> {
            here.as_ref().or(below.as_ref()).cloned()
        }
        Settings {
            id: Absent,
            hosts: Absent,
            passthrough: Absent,
            allow: pick(&self.allow, &below.allow),
            deny: pick(&self.deny, &below.deny),
            basic_auth: pick(&self.basic_auth, &below.basic_auth),
            forward_authorization: pick(&self.forward_authorization, &below.forward_authorization),
            redirect_to_https: pick(&self.redirect_to_https, &below.redirect_to_https),
            max_body: pick(&self.max_body, &below.max_body),
            response_timeout: pick(&self.response_timeout, &below.response_timeout),
            instances: pick(&self.instances, &below.instances),
            offline_status: pick(&self.offline_status, &below.offline_status),
            offline_retry_after: pick(&self.offline_retry_after, &below.offline_retry_after),
            rate_per_client: pick(&self.rate_per_client, &below.rate_per_client),
            rate_per_agent: pick(&self.rate_per_agent, &below.rate_per_agent),
            request_headers: pick(&self.request_headers, &below.request_headers),
            response_headers: pick(&self.response_headers, &below.response_headers),
        }
    }
}

#[cfg(test)]
mod tests;
