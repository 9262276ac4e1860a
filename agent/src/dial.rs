//! From an address to a link: the only place that knows which transports there are.

use std::{convert::Infallible, pin::Pin};

use futures_core::Stream;
use link::LinkError;
use proto::{AgentFrame, GatewayFrame, limits};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::{
    GatewayTls, GatewayUrl, Proxies, Transport,
    connect_request::Binding,
    gateway_tls::Explained,
    trust::{Peer, explain},
};

mod grpc;
mod heard;
mod tcp;
mod ws;

use tcp::{Connected, ProxyError};

/// What the agent writes on its link.
pub type Outbound = link::Outbound<AgentFrame, Infallible>;
/// What it reads.
pub type Inbound = Pin<Box<dyn Stream<Item = Result<GatewayFrame, LinkError>> + Send>>;

/// Why an address gave no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Nobody listens there.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// Nobody answers.
    #[error("no answer within {} s", limits::CONNECT_TIMEOUT.as_secs())]
    Timeout,
    /// Somebody else listens there.
    #[error("the other side does not answer in HTTP/2: {reason}{hint}")]
    NoHttp2 {
        /// What it does instead.
        reason: String,
        /// What may help.
        hint: &'static str,
    },
    /// It is the port that clients ask, not agents.
    #[error(
        "this is the gateway's port for clients: dial its port for agents over gRPC (8081 unless it says otherwise) or \
             WebSocket (8080)"
    )]
    ClientsPort,
    /// The transport was refused.
    #[error("the other side refused the stream: {0}")]
    Stream(String),
    /// No way through the proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The opening handshake failed.
    #[error(transparent)]
    WebSocket(#[from] ws_bridge::client::OpenError),
    /// What is wrong, and what helps.
    #[error("{0}")]
    Tls(String),
}

/// Connects to `url`, through one of `proxies` if one stands in the way, and lets its transport carry `outbound`. Before that
/// `introduce` is told what can be said of the connection.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(crate) async fn dial(
    url: &GatewayUrl,
    proxies: &Proxies,
    tls: &GatewayTls,
    introduce: impl FnOnce(Binding),
    outbound: Outbound,
) -> Result<Inbound, DialError> {
    let link = async {
        let connected = match proxies.on_the_way_to(url) {
            Some(proxy) => tcp::through(&proxy, url).await?,
            None => tcp::directly(url).await.map_err(DialError::Connect)?,
        };
        match connected {
            Connected::Directly(stream) => secure(url, tls, stream, introduce, outbound).await,
            Connected::Through(stream) => secure(url, tls, stream, introduce, outbound).await,
        }
    };
    timeout(limits::CONNECT_TIMEOUT, link).await.map_err(|_| DialError::Timeout)?
}

/// Opens a link on a connection, over TLS if the address says so.
async fn secure<S>(
    url: &GatewayUrl,
    tls: &GatewayTls,
    stream: S,
    introduce: impl FnOnce(Binding),
    outbound: Outbound,
) -> Result<Inbound, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if !url.tls {
        introduce(Binding::None);
        return open(url, stream, outbound).await;
    }
    let peer = tls.peer(&url.host);
    let connected = tls.connect(&url.host, url.transport, stream).await;
    let (stream, binding) = connected.map_err(|error| not_secure(&error, &peer))?;
    introduce(binding);
    let (stream, explanation) = Explained::new(stream, peer);
    let opened = open(url, stream, outbound).await;
    // A gateway refuses a certificate after we believe that all is well (RFC 8446, section 4.4.2.4).
    opened.map_err(|error| explanation.get().cloned().map_or(error, DialError::Tls))
}

fn not_secure(error: &std::io::Error, peer: &Peer) -> DialError {
    match explain(error, peer) {
        Some(explanation) => DialError::Tls(explanation),
        None => DialError::Tls(format!("no TLS: {error}")),
    }
}

async fn open<S>(url: &GatewayUrl, stream: S, outbound: Outbound) -> Result<Inbound, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match url.transport {
        Transport::Grpc => grpc::open(url, stream, outbound).await,
        Transport::WebSocket => ws::open(url, stream, outbound).await,
    }
}
