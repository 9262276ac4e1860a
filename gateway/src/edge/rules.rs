use std::{collections::HashMap, sync::Arc};

use proto::AgentId;

use super::{Policies, host::Hosts, policy::Policy};

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
}

impl Rules {
    pub(super) fn new(policies: &Policies) -> Self {
        let Policies { agents, defaults, hosts, sealed } = policies;
        let policy = |settings| Policy::new(settings).map(Arc::new);
        Self {
            hosts: hosts.clone(),
            sealed: sealed.clone(),
            policies: agents.iter().map(|agent| (agent.id.0.clone(), policy(agent.over(defaults)))).collect(),
            default: policy(defaults.clone()),
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

    pub(super) fn policy(&self, agent_id: &AgentId) -> Option<&Arc<Policy>> {
        self.policies.get(agent_id).unwrap_or(&self.default).as_ref()
    }
}
