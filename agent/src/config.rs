use std::{borrow::Cow, fmt, time::Duration};

use proto::{AgentId, Credential};

use crate::Proxies;

/// Everything an agent needs to run, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The local service.
    pub upstream: Upstream,
    /// Where to dial, in the order in which to try; never empty.
    pub gateways: Vec<GatewayUrl>,
    /// What may stand between here and there.
    pub proxies: Proxies,
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
}

/// A service that speaks HTTP on a TCP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
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
        write!(f, "http://{}", self.authority())
    }
}

impl Upstream {
    /// Host and port, as they stand in a URL.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.tls { "s" } else { "" };
        write!(f, "{}{s}://{}", self.transport.label(), self.authority())
    }
}

impl GatewayUrl {
    /// Host and port, as they stand in a URL.
    pub fn authority(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

/// An IPv6 address as it stands in a URL (RFC 3986, section 3.2.2).
fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') { format!("[{host}]").into() } else { host.into() }
}
