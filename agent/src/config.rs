use std::{borrow::Cow, fmt, net::SocketAddr, time::Duration};

use proto::{AgentId, Credential, limits};

use crate::{ChannelBinding, GatewayTls, HealthCheck, Proxies, UpstreamTls};

/// Everything an agent needs to run, checked. [`Config::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The local service.
    pub upstream: Upstream,
    /// Other services for some paths.
    pub routes: Vec<Route>,
    /// Whom to believe that it is such a service, if it is asked over TLS.
    pub upstream_tls: UpstreamTls,
    /// What services see as `host`.
    pub host: HostField,
    /// Whether clients may speak TLS with the local service itself, past the gateway.
    pub passthrough: bool,
    /// Where to dial, in the order in which to try; never empty.
    pub gateways: Vec<GatewayUrl>,
    /// What may stand between here and there.
    pub proxies: Proxies,
    /// Whom to believe that it is such a gateway, and how to show who this agent is, where TLS is spoken.
    pub gateway_tls: GatewayTls,
    /// Whether signatures are bound to the connection that they travel on.
    pub channel_binding: ChannelBinding,
    /// The name to be reachable under.
    pub agent_id: AgentId,
    /// What to sign with.
    pub credential: Credential,
    /// Failed attempts in a row after which [`crate::RunError::Unreachable`] ends the agent; `None` tries for ever.
    pub max_retries: Option<u32>,
    /// How long requests in progress may go on after a shutdown began.
    pub grace_period: Duration,
    /// Requests served at a time; 0 leaves it to the gateway.
    pub max_concurrent: u32,
    /// Links to keep, at most [`limits::MAX_CONNECTIONS`]. One is kept even if this is 0.
    pub connections: u32,
    /// When a link is replaced by a new one.
    pub link_age: LinkAge,
    /// How to know whether the service can be asked; `None` takes it for granted.
    pub health_check: Option<HealthCheck>,
    /// How often to find out.
    pub health_interval: Duration,
}

/// When a link is replaced by a new one, though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkAge {
    /// Ahead of the age at which links were seen to be cut.
    Learned,
    /// Never.
    Unlimited,
    /// Before it is this old.
    AtMost(Duration),
}

impl Config {
    /// An agent that never gives up, keeps two links and serves as much as its gateway allows.
    pub fn new(
        upstream: Upstream,
        gateways: Vec<GatewayUrl>,
        agent_id: AgentId,
        credential: Credential,
    ) -> Self {
        Self {
            upstream,
            routes: Vec::new(),
            upstream_tls: UpstreamTls::default(),
            host: HostField::Preserve,
            passthrough: false,
            gateways,
            proxies: Proxies::none(),
            gateway_tls: GatewayTls::default(),
            channel_binding: ChannelBinding::default(),
            agent_id,
            credential,
            max_retries: None,
            grace_period: limits::DRAIN_DEADLINE,
            max_concurrent: 0,
            connections: 2,
            link_age: LinkAge::Learned,
            health_check: None,
            health_interval: Duration::from_secs(10),
        }
    }
}

/// A service that speaks HTTP on a TCP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is spoken below it.
    pub tls: bool,
    /// Which requests are sent in HTTP/2.
    pub http2: Http2,
}

/// Which requests a service gets in HTTP/2. Upgrades, as to WebSocket, always go in HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// None.
    Never,
    /// Calls of gRPC, which cannot do without.
    ForGrpc,
    /// All, if the service agrees while TLS is set up.
    IfOffered,
    /// All.
    Always,
}

/// A service for the paths below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Whole segments of a path, without a slash at the end. Empty for every path.
    pub prefix: String,
    /// Who serves them.
    pub upstream: Upstream,
    /// Whether the service sees paths without the prefix.
    pub strip_prefix: bool,
}

/// What a service sees as `host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostField {
    /// What the client sent.
    Preserve,
    /// Its own host and port.
    Upstream,
    /// This.
    Named(String),
}

/// How the frames of a link travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// One bidirectional gRPC stream.
    Grpc,
    /// WebSocket messages.
    WebSocket,
}

/// One address to dial with one transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayUrl {
    /// What to speak.
    pub transport: Transport,
    /// Whether TLS is spoken below it.
    pub tls: bool,
    /// Host name or address, lower case, without brackets. Also the audience that is signed.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Transport {
    /// The name in messages and metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::WebSocket => "ws",
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.http2 {
            _ if self.tls => "https",
            Http2::Always => "h2c",
            _ => "http",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl Upstream {
    /// A service that speaks plain HTTP/1.1.
    pub fn http(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, tls: false, http2: Http2::Never }
    }

    /// The same at an address.
    pub fn at(addr: SocketAddr) -> Self {
        Self::http(addr.ip().to_string(), addr.port())
    }

    /// Host and port, as they stand in a URL.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }

    /// Host and port, as a client of its own would name them (RFC 9110, section 4.2.3).
    pub(crate) fn host_field(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.port == usual { bracketed(&self.host).into_owned() } else { self.authority() }
    }
}

impl fmt::Display for HostField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Preserve => "preserve",
            Self::Upstream => "upstream",
            Self::Named(name) => name,
        })
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.tls { "s" } else { "" };
        write!(f, "{}{s}://{}", self.transport.label(), self.authority())
    }
}

impl GatewayUrl {
    /// A gateway at an address, without TLS.
    pub fn at(transport: Transport, addr: SocketAddr) -> Self {
        Self { transport, tls: false, host: addr.ip().to_string(), port: addr.port() }
    }

    /// Host and port, as they stand in a URL.
    pub fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

/// An IPv6 address as it stands in a URL (RFC 3986, section 3.2.2).
fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}
