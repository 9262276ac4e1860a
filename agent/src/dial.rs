//! From an address to a link: the only place that knows which transports there are.

use std::{convert::Infallible, pin::Pin};

use futures_core::Stream;
use link::LinkError;
use proto::{AgentFrame, GatewayFrame, limits};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use crate::{GatewayUrl, Proxies, Transport};

mod grpc;
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
    #[error("the other side does not speak HTTP/2: {0}")]
    Handshake(#[source] hyper::Error),
    /// The transport was refused.
    #[error("the other side refused the stream: {0}")]
    Stream(String),
    /// No way through the proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The opening handshake failed.
    #[error(transparent)]
    WebSocket(#[from] ws_bridge::client::OpenError),
    /// What the address asks for.
    #[error("{0} is not supported by this version")]
    Unsupported(&'static str),
}

/// Connects to `url`, through one of `proxies` if one stands in the way, and lets its transport carry `outbound`.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(crate) async fn dial(
    url: &GatewayUrl,
    proxies: &Proxies,
    outbound: Outbound,
) -> Result<Inbound, DialError> {
    if url.tls {
        return Err(DialError::Unsupported("TLS"));
    }
    let link = async {
        let connected = match proxies.on_the_way_to(url) {
            Some(proxy) => tcp::through(&proxy, url).await?,
            None => tcp::directly(url).await.map_err(DialError::Connect)?,
        };
        match connected {
            Connected::Directly(stream) => open(url, stream, outbound).await,
            Connected::Through(stream) => open(url, stream, outbound).await,
        }
    };
    timeout(limits::CONNECT_TIMEOUT, link).await.map_err(|_| DialError::Timeout)?
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
