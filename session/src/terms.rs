use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use proto::{AgentId, limits};

use crate::{Channel, Instances, Visitor};

/// What a gateway grants every session.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long an exchange may rest after its head; zero is for ever.
    pub idle_timeout: Duration,
    /// Silence after which an agent sends a PING.
    pub heartbeat_interval: Duration,
    /// How long an agent waits for any frame after a PING.
    pub heartbeat_timeout: Duration,
    /// How long exchanges may go on once a session drains, as all do after SIGTERM.
    pub grace_period: Duration,
    /// Requests in progress at a time on one session: 503 beyond it.
    pub max_concurrent: u32,
    /// Bytes of bodies that all sessions together may hold: 503 beyond it.
    pub body_memory: u64,
    /// Age at which an agent is asked to make another link, 20 % more or less; zero is never.
    pub max_link_age: Duration,
    /// Sessions at a time with one token that has no limit of its own.
    pub max_sessions_per_token: u32,
    /// Sessions at a time of one agent id.
    pub max_sessions_per_agent: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            idle_timeout: limits::IDLE_TIMEOUT,
            heartbeat_interval: limits::HEARTBEAT_INTERVAL,
            heartbeat_timeout: limits::HEARTBEAT_TIMEOUT,
            grace_period: limits::DRAIN_DEADLINE,
            max_concurrent: limits::MAX_CONCURRENT,
            body_memory: limits::PROCESS_MEMORY,
            max_link_age: Duration::ZERO,
            max_sessions_per_token: limits::MAX_SESSIONS_PER_TOKEN,
            max_sessions_per_agent: limits::MAX_SESSIONS_PER_AGENT,
        }
    }
}

/// What a transport knows of a link.
#[derive(Clone, Debug)]
pub struct LinkInfo {
    /// The transport's label in logs and metrics.
    pub transport: &'static str,
    /// Where the connection comes from.
    pub peer: Option<SocketAddr>,
    /// Host that was dialled, as `:authority` or Host say, lower case, without port.
    pub authority: String,
    /// What TLS says of the connection.
    pub channel: Channel,
    /// The connection, as long as nobody is known on it.
    pub visitor: Visitor,
}

impl LinkInfo {
    /// Whom the peer speaks for, if it is a proxy.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        let peer = self.peer.map(|peer| peer.ip().to_canonical());
        self.visitor.address().map(|address| address.to_canonical()).filter(|address| Some(*address) != peer)
    }
}

/// What is said about agents one by one, asked whenever one connects.
pub trait AgentRules: Send + Sync {
    /// Where the agent is reachable.
    fn public_urls(&self, agent_id: &AgentId) -> Vec<String>;
    /// See [`limits::RESPONSE_TIMEOUT`].
    fn response_timeout(&self, agent_id: &AgentId) -> Duration;
    /// What becomes of other processes that have the same id.
    fn instances(&self, agent_id: &AgentId) -> Instances;
}
