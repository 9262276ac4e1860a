use std::{collections::HashMap, sync::Arc, time::Duration};

use proto::AgentId;
use session::Instances;

use super::{
    Policies,
    host::Hosts,
    policy::Policy,
    settings::{AgentSettings, DefaultSettings, Timeout},
};

/// What stands in the tables about agents, in the form in which requests are held against it. Exchanged as a whole when the
/// file changes: a request sees the old tables or the new ones.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    hosts: Hosts,
    sealed: Hosts,
    /// Of the agents that have a table; an agent's table may take back what the defaults ask.
    policies: HashMap<AgentId, Option<Arc<Policy>>>,
    /// Of all the others.
    default: Option<Arc<Policy>>,
    /// What counts when an agent connects, likewise.
    connecting: HashMap<AgentId, Connecting>,
    connecting_default: Connecting,
}

/// What the tables say about an agent that connects, where they say something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connecting {
    /// How long its service may take to begin its answer.
    pub(crate) response_timeout: Option<Duration>,
    /// What becomes of other processes that have its id.
    pub(crate) instances: Option<Instances>,
}

impl Connecting {
    fn new(settings: &DefaultSettings) -> Self {
        let response_timeout = settings.response_timeout.map(|Timeout(time)| time);
        Self { response_timeout, instances: settings.instances }
    }
}

impl Rules {
    pub(super) fn new(policies: &Policies) -> Self {
        let Policies { agents, defaults, hosts, sealed } = policies;
        let policy = |settings| Policy::new(settings).map(Arc::new);
        let connecting = |agent: &AgentSettings| Connecting::new(&agent.over(defaults));
        Self {
            hosts: hosts.clone(),
            sealed: sealed.clone(),
            policies: agents.iter().map(|agent| (agent.id.0.clone(), policy(agent.over(defaults)))).collect(),
            default: policy(defaults.clone()),
            connecting: agents.iter().map(|agent| (agent.id.0.clone(), connecting(agent))).collect(),
            connecting_default: Connecting::new(defaults),
        }
    }

    /// The host names that agents have besides those that their ids give them.
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Whether the TLS of any client is not for the gateway.
    pub(crate) fn passes_through(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// The agent whose service ends the TLS of clients that ask for `name`.
    pub(crate) fn sealed(&self, name: &str) -> Option<&AgentId> {
        self.sealed.exactly(name).or_else(|| self.sealed.below(name))
    }

    /// What counts when the agent connects.
    pub(crate) fn connecting(&self, agent_id: &AgentId) -> Connecting {
        self.connecting.get(agent_id).copied().unwrap_or(self.connecting_default)
    }

    pub(super) fn policy(&self, agent_id: &AgentId) -> Option<&Arc<Policy>> {
        self.policies.get(agent_id).unwrap_or(&self.default).as_ref()
    }
}
