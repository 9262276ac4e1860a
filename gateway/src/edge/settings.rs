//! Policies as they stand in the configuration file.

use std::{collections::HashMap, time::Duration};

use cli::Span;
use proto::AgentId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    basic_auth::User,
    field_changes::FieldChanges,
    host::{HostPattern, Hosts},
    network::Network,
    rate::Rate,
    size::Size,
};

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
            allow: pick(&self.allow, &below.allow),
            deny: pick(&self.deny, &below.deny),
            basic_auth: pick(&self.basic_auth, &below.basic_auth),
            forward_authorization: pick(&self.forward_authorization, &below.forward_authorization),
            redirect_to_https: pick(&self.redirect_to_https, &below.redirect_to_https),
            max_body: pick(&self.max_body, &below.max_body),
            response_timeout: pick(&self.response_timeout, &below.response_timeout),
            offline_status: pick(&self.offline_status, &below.offline_status),
            offline_retry_after: pick(&self.offline_retry_after, &below.offline_retry_after),
            rate_per_client: pick(&self.rate_per_client, &below.rate_per_client),
            rate_per_agent: pick(&self.rate_per_agent, &below.rate_per_agent),
            request_headers: pick(&self.request_headers, &below.request_headers),
            response_headers: pick(&self.response_headers, &below.response_headers),
        }
    }
}

/// An agent id in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(pub AgentId);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AgentId::parse(&String::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A key that the other table has and this one has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absent;

impl<'de> Deserialize<'de> for Absent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<de::IgnoredAny>::deserialize(deserializer)? {
            None => Ok(Self),
            Some(_) => Err(de::Error::custom("this is about one agent: write it into its [[agent]] table")),
        }
    }
}

impl Serialize for Absent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

/// A time to wait, which travels as milliseconds in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Span", into = "Span")]
pub struct Timeout(Duration);

/// A time that nobody can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time-out is more than zero and at most 49 days")]
pub struct InvalidTimeout;

impl TryFrom<Span> for Timeout {
    type Error = InvalidTimeout;

    fn try_from(Span(time): Span) -> Result<Self, InvalidTimeout> {
        let possible = (1..=u128::from(u32::MAX)).contains(&time.as_millis());
        possible.then_some(Self(time)).ok_or(InvalidTimeout)
    }
}

impl From<Timeout> for Span {
    fn from(Timeout(time): Timeout) -> Self {
        Self(time)
    }
}

/// What a client is told while the agent is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum OfflineStatus {
    /// 404: as if there were nothing here.
    NotFound,
    /// 503: there will be something again.
    Unavailable,
}

/// A status that says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offline_status is 404 or 503")]
pub struct InvalidOfflineStatus;

impl TryFrom<u16> for OfflineStatus {
    type Error = InvalidOfflineStatus;

    fn try_from(status: u16) -> Result<Self, InvalidOfflineStatus> {
        match status {
            404 => Ok(Self::NotFound),
            503 => Ok(Self::Unavailable),
            _ => Err(InvalidOfflineStatus),
        }
    }
}

impl From<OfflineStatus> for u16 {
    fn from(status: OfflineStatus) -> Self {
        match status {
            OfflineStatus::NotFound => 404,
            OfflineStatus::Unavailable => 503,
        }
    }
}

/// What is said about agents, checked: no agent twice, no host name for two.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    pub(super) agents: Vec<AgentSettings>,
    pub(super) defaults: DefaultSettings,
    pub(super) hosts: Hosts,
}

/// Why tables cannot stand beside each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPolicies {
    /// Two tables are about one agent.
    #[error("two [[agent]] tables have id = \"{0}\"; make one of them")]
    AgentTwice(AgentId),
    /// Two agents, or one agent twice, have a host name.
    #[error("the host `{host}` stands under both `{first}` and `{second}`; a host leads to one agent")]
    HostTwice {
        /// The name.
        host: HostPattern,
        /// Who has it first.
        first: AgentId,
        /// Who has it as well.
        second: AgentId,
    },
    /// Every agent has a name there already.
    #[error("the hosts `*.{0}` are those of all agents: {0} is a --domain")]
    Domain(String),
}

impl Policies {
    /// Checks tables against each other, and against the domains whose direct children are agents.
    ///
    /// # Errors
    /// [`InvalidPolicies`].
    pub fn new(
        agents: Vec<AgentSettings>,
        defaults: DefaultSettings,
        domains: &[String],
    ) -> Result<Self, InvalidPolicies> {
        let mut hosts = Hosts::default();
        for (index, Settings { id: Id(id), hosts: theirs, .. }) in agents.iter().enumerate() {
            if agents[..index].iter().any(|other| other.id.0 == *id) {
                return Err(InvalidPolicies::AgentTwice(id.clone()));
            }
            for host in theirs {
                if let HostPattern::Below(domain) = host
                    && domains.contains(domain)
                {
                    return Err(InvalidPolicies::Domain(domain.clone()));
                }
                if let Some(first) = hosts.add(host.clone(), id.clone()) {
                    return Err(InvalidPolicies::HostTwice { host: host.clone(), first, second: id.clone() });
                }
            }
        }
        Ok(Self { agents, defaults, hosts })
    }

    /// The host names of their own that agents have.
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// How long the services of agents may take that have no time of their own.
    pub(crate) fn response_timeout(&self) -> Option<Duration> {
        self.defaults.response_timeout.map(|Timeout(time)| time)
    }

    /// How long the services of the other agents may take.
    pub(crate) fn response_timeouts(&self) -> HashMap<AgentId, Duration> {
        let agents = self.agents.iter();
        agents.filter_map(|agent| Some((agent.id.0.clone(), agent.response_timeout?.0))).collect()
    }

    /// The tables again.
    pub fn into_tables(self) -> (Vec<AgentSettings>, DefaultSettings) {
        (self.agents, self.defaults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[serde(default)]
        agent: Vec<AgentSettings>,
        #[serde(default)]
        agent_defaults: DefaultSettings,
    }

    fn policies(text: &str) -> Result<Policies, InvalidPolicies> {
        let File { agent, agent_defaults } = toml::from_str(text).unwrap();
        Policies::new(agent, agent_defaults, &["example.com".to_owned()])
    }

    /// The message, and the text that it points at.
    fn error(text: &str) -> (String, &str) {
        let error = toml::from_str::<File>(text).err().unwrap();
        (error.message().to_owned(), error.span().map_or("", |span| &text[span]))
    }

    const EVERYTHING: &str = r#"
[agent_defaults]
max_body = "10MiB"
offline_status = 503
offline_retry_after = "30s"

[[agent]]
id = "myapp"
hosts = ["shop.example.org", "*.customer.example"]
allow = ["10.0.0.0/8", "::1"]
deny = ["10.0.0.13"]
basic_auth = ["ali:$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$Mqp8wAsrOsjVEIymTD0kATxTpTf4f+0ZMgQPDlukk/w"]
forward_authorization = false
redirect_to_https = true
max_body = "1GB"
response_timeout = "2m"
rate_per_client = { per_second = 10, burst = 20 }
rate_per_agent = { per_second = 500 }
request_headers = { set = { x-env = "prod" }, remove = ["x-debug"] }
response_headers = { add = { strict-transport-security = "max-age=63072000" } }
"#;

    #[test]
    fn every_key_is_understood_and_an_agents_own_goes_first() {
        let Policies { agents, defaults, .. } = policies(EVERYTHING).unwrap();
        let merged = agents[0].over(&defaults);
        assert_eq!(merged.max_body, Some(Size(1_000_000_000)));
        assert_eq!(merged.offline_status, Some(OfflineStatus::Unavailable));
        assert_eq!(merged.rate_per_agent, Some(Rate::new(500.0, 500).unwrap()));
        assert_eq!(merged.allow.unwrap().len(), 2);
        let timeouts = policies(EVERYTHING).unwrap().response_timeouts();
        assert_eq!(timeouts, [(agents[0].id.0.clone(), Duration::from_secs(120))].into());
    }

    #[test]
    fn what_was_read_can_be_written() {
        let (agent, agent_defaults) = policies(EVERYTHING).unwrap().into_tables();
        let text = toml::to_string(&File { agent, agent_defaults }).unwrap();
        for part in ["id = \"myapp\"", "max_body = \"10MiB\"", "offline_status = 503", "\"ali:<hidden>\"", "x-env = \"<hidden>\""] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        for (text, part, place) in [
            ("[[agent]]\nid = 'a'\nmax_bdy = '1'", "unknown field `max_bdy`", "max_bdy"),
            ("[[agent]]\nid = 'A'", "an agent id is made of", "'A'"),
            ("[[agent]]\nid = 'a'\nallow = ['10.0.0.0/33']", "`10.0.0.0/33`: a network is", "['10.0.0.0/33']"),
            ("[[agent]]\nid = 'a'\nhosts = ['a b']", "`a b`: a host is written", "['a b']"),
            ("[[agent]]\nid = 'a'\nmax_body = 'big'", "a size is", "'big'"),
            ("[[agent]]\nid = 'a'\noffline_status = 500", "404 or 503", "500"),
            ("[[agent]]\nid = 'a'\nrate_per_client = { per_second = 0 }", "a rate needs", "{ per_second = 0 }"),
            ("[[agent]]\nid = 'a'\nrequest_headers = { remove = ['host'] }", "`host` cannot be changed", "['host']"),
            ("[[agent]]\nid = 'a'\nbasic_auth = ['ali:hush']", "user `ali`: not a hashed password", "['ali:hush']"),
            ("[[agent]]\nid = 'a'\nresponse_timeout = '0s'", "a time-out is", "'0s'"),
            ("[agent_defaults]\nid = 'a'", "one agent", "'a'"),
            ("[agent_defaults]\nhosts = ['a']", "one agent", "['a']"),
        ] {
            let (message, at) = error(text);
            assert!(message.contains(part) && !message.contains("hush"), "{text}: {message}");
            assert_eq!(at, place, "{text}");
        }
        assert!(error("[[agent]]\nmax_body = '1'").0.contains("missing field `id`"));
    }

    #[test]
    fn tables_that_contradict_each_other_are_refused() {
        let agent = |id: &str, hosts: &str| format!("[[agent]]\nid = '{id}'\nhosts = [{hosts}]\n");
        let message = |text: String| policies(&text).unwrap_err().to_string();
        assert!(message(agent("a", "") + &agent("a", "")).contains("two [[agent]] tables have id = \"a\""));
        let twice = message(agent("a", "'x.org'") + &agent("b", "'X.org'"));
        assert!(twice.contains("`x.org` stands under both `a` and `b`"), "{twice}");
        assert!(message(agent("a", "'*.example.com'")).contains("`*.example.com`"));
        policies(&(agent("a", "'x.org', 'example.com'") + &agent("b", "'*.x.org'"))).unwrap();
    }
}
