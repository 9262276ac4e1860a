use proto::AgentId;

use super::{
    host::{HostPattern, Hosts},
    settings::{AgentSettings, DefaultSettings, Id, Settings},
};

/// What is said about agents, checked: no agent twice, no host name for two.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    pub(super) agents: Vec<AgentSettings>,
    pub(super) defaults: DefaultSettings,
    pub(super) hosts: Hosts,
    /// The names for which services end TLS themselves.
    pub(super) sealed: Hosts,
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
        let (mut hosts, mut sealed) = (Hosts::default(), Hosts::default());
        for (index, Settings { id: Id(id), hosts: theirs, passthrough, .. }) in agents.iter().enumerate() {
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
            for host in passthrough {
                if let Some(first) = sealed.add(host.clone(), id.clone()) {
                    return Err(InvalidPolicies::HostTwice { host: host.clone(), first, second: id.clone() });
                }
            }
        }
        Ok(Self { agents, defaults, hosts, sealed })
    }

    /// The host names of their own that agents have.
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The tables again.
    pub fn into_tables(self) -> (Vec<AgentSettings>, DefaultSettings) {
        (self.agents, self.defaults)
    }
}
