use std::{sync::Arc, time::Duration};

use link::Budget;
use proto::AgentId;
use session::{
    Acceptor, AgentRules, Authenticator, Credentials, Dispatcher, Instances, Metrics, Registry, Terms,
};
use tokio_util::sync::CancellationToken;

use crate::scenario::Rules;

/// One process of the gateway, without its sockets.
pub(crate) struct Gateway {
    pub(crate) number: usize,
    pub(crate) acceptor: Acceptor,
    pub(crate) registry: Arc<Registry>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) memory: Budget,
    pub(crate) memory_at_first: u64,
    /// Cancelled when it dies.
    pub(crate) died: CancellationToken,
}

struct Everywhere {
    response_timeout: Duration,
    instances: Instances,
}

impl AgentRules for Everywhere {
    fn public_urls(&self, agent_id: &AgentId) -> Vec<String> {
        vec![format!("http://{agent_id}.sim")]
    }

    fn response_timeout(&self, _agent_id: &AgentId) -> Duration {
        self.response_timeout
    }

    fn instances(&self, _agent_id: &AgentId) -> Instances {
        self.instances
    }
}

impl Gateway {
    pub(crate) fn new(number: usize, rules: &Rules, credentials: Credentials) -> Self {
        let registry = Arc::new(Registry::new(rules.offline_grace, rules.seed ^ number as u64));
        let metrics = Metrics::default();
        let terms = Terms {
            max_concurrent: rules.max_concurrent,
            body_memory: rules.body_memory,
            idle_timeout: rules.idle_timeout,
            heartbeat_interval: rules.heartbeat_interval,
            heartbeat_timeout: rules.heartbeat_timeout,
            ..Terms::default()
        };
        let everywhere = Everywhere { response_timeout: rules.response_timeout, instances: rules.instances };
        let acceptor = Acceptor::new(
            Arc::new(Authenticator::new(credentials, Vec::new(), link::now())),
            Arc::clone(&registry),
            metrics.clone(),
            format!("gw-{number}"),
            terms,
            Box::new(everywhere),
        );
        let memory = acceptor.body_memory();
        Self {
            number,
            acceptor,
            dispatcher: Dispatcher::new(Arc::clone(&registry), metrics),
            registry,
            memory_at_first: memory.left(),
            memory,
            died: CancellationToken::new(),
        }
    }

    /// Sessions of an agent that take requests.
    pub(crate) fn sessions_of(&self, agent_id: &AgentId) -> usize {
        let sessions = self.registry.sessions();
        sessions.iter().filter(|session| session.agent_id() == agent_id && !session.is_retired()).count()
    }
}
