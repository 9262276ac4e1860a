use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use cli::audit::AuditFile;
use proto::{AgentId, limits};
use session::{Instances, LobbyLimits, Terms};

use crate::{
    Pages, TlsConfig,
    edge::{Network, Policies},
};

/// Everything a gateway needs to run, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Public HTTP.
    pub http: SocketAddr,
    /// Agents over gRPC.
    pub grpc: SocketAddr,
    /// Agents over WebSocket.
    pub ws: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// Domains whose direct children are agents, lower case, without dots at either end; never empty.
    pub domains: Vec<String>,
    /// The file that `token new` writes.
    pub tokens: PathBuf,
    /// What the secrets of derived tokens come from.
    pub master_key_file: Option<PathBuf>,
    /// How an agent's public URL is made; the default is `http://{agent}.{domain}:{port}` with the port of `http`.
    pub public_url: Option<UrlTemplate>,
    /// The gateway's name for itself in logs and towards agents.
    pub gateway_id: String,
    /// Names under which agents may have dialled this gateway. Empty: whatever the link says.
    pub audiences: Vec<String>,
    /// Origins of browser pages that may connect to the WebSocket port, e.g. `https://console.example.com`.
    pub ws_origins: Vec<String>,
    /// Times and amounts.
    pub limits: Limits,
    /// What is asked of clients.
    pub edge: EdgeConfig,
    /// With which certificates TLS is spoken; `None` is without TLS.
    pub tls: Option<TlsConfig>,
    /// Whether a newer process may share the ports and take over.
    pub reuse_port: bool,
    /// The audit log that events are written to, to be watched.
    pub audit: Option<AuditFile>,
}

/// What is asked of clients, and whose word counts. By default nothing, and nobody's.
#[derive(Clone, Debug, Default)]
pub struct EdgeConfig {
    /// Proxies in front that are believed about whom they speak for.
    pub trusted_proxies: Vec<Network>,
    /// Whether connections of those proxies begin with a PROXY header.
    pub proxy_protocol: bool,
    /// Whether clients on plain HTTP are sent to https, whatever they ask for.
    pub redirect_to_https: bool,
    /// The longest request body, unless an agent's policy says otherwise.
    pub max_body: Option<u64>,
    /// What a browser is shown of an error.
    pub pages: Pages,
    /// What is asked agent by agent.
    pub policies: Policies,
    /// From where the policies come, to be followed.
    pub source: Option<PolicySource>,
}

/// A file that holds policies, and how to read them.
#[derive(Clone)]
pub struct PolicySource {
    /// The file.
    pub path: PathBuf,
    /// Reads and checks it.
    pub read: Arc<ReadPolicies>,
}

/// Reads policies, for as long as a gateway runs.
pub type ReadPolicies = dyn Fn() -> Result<Policies, anyhow::Error> + Send + Sync;

impl fmt::Debug for PolicySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicySource").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Config {
    /// Where clients and agents look for this gateway, at these names or below them: what its certificates should be for.
    pub fn hosts(&self) -> Vec<String> {
        let own = self.domains.iter().chain(&self.audiences).map(String::as_str);
        own.chain(self.edge.policies.hosts().names()).map(str::to_owned).collect()
    }

    /// A gateway on free ports of loopback, which knows no tokens and asks nothing of clients.
    pub fn on_loopback(gateway_id: &str, domain: &str) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            http: free,
            grpc: free,
            ws: free,
            admin: free,
            domains: vec![domain.to_owned()],
            tokens: PathBuf::new(),
            master_key_file: None,
            public_url: None,
            gateway_id: gateway_id.to_owned(),
            audiences: Vec::new(),
            ws_origins: Vec::new(),
            limits: Limits::default(),
            edge: EdgeConfig::default(),
            reuse_port: false,
            audit: None,
            tls: None,
        }
    }
}

/// Times and amounts, each with a default.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What every session is granted. Much of it holds for clients, too.
    pub terms: Terms,
    /// From handing a request over to its response head: 504 after it.
    pub response_timeout: Duration,
    /// How long a request waits for an agent that was lost a moment ago.
    pub offline_grace: Duration,
    /// What becomes of other agent processes that have the same id.
    pub instances: Instances,
    /// Time to read a request head.
    pub header_timeout: Duration,
    /// The pause allowed between two requests of one connection.
    pub keep_alive_timeout: Duration,
    /// How long a client's connection may rest once the end was announced.
    pub drain_idle: Duration,
    /// Clients' connections in all.
    pub max_connections: usize,
    /// Clients' connections of one address, or of one /64 network of IPv6; zero is any.
    pub max_connections_per_address: usize,
    /// Connections on the agents' ports that no agent was accepted on yet.
    pub lobby: LobbyLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            terms: Terms::default(),
            response_timeout: limits::RESPONSE_TIMEOUT,
            offline_grace: Duration::from_secs(2),
            instances: Instances::Pool,
            header_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(75),
            drain_idle: Duration::from_secs(2),
            max_connections: 20_000,
            max_connections_per_address: 0,
            lobby: LobbyLimits::default(),
        }
    }
}

/// A URL with a place for the agent id, e.g. `https://{agent}.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate(String);

/// A template without `{agent}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public URL needs {{agent}} where the agent id belongs, e.g. https://{{agent}}.example.com")]
pub struct InvalidUrlTemplate;

impl UrlTemplate {
    /// Takes a URL that contains `{agent}`.
    ///
    /// # Errors
    /// [`InvalidUrlTemplate`] if it does not.
    pub fn parse(text: &str) -> Result<Self, InvalidUrlTemplate> {
        text.contains("{agent}").then(|| Self(text.to_owned())).ok_or(InvalidUrlTemplate)
    }

    /// The URL of a host name that an agent has besides.
    pub(crate) fn url_of(&self, host: &str) -> String {
        let scheme = if self.0.starts_with("http://") { "http" } else { "https" };
        format!("{scheme}://{host}")
    }

    /// The port of https in its URLs, if they are of https.
    pub(crate) fn https_port(&self) -> Option<u16> {
        let authority = self.0.strip_prefix("https://")?.split('/').next()?;
        Some(authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(443))
    }

    /// The URL of one agent.
    pub fn url(&self, agent_id: &AgentId) -> String {
        self.0.replace("{agent}", agent_id.as_str())
    }
}
