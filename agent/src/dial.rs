//! From an address to a link: the only place that knows which transports there are.

use std::{convert::Infallible, pin::Pin};

use futures_core::Stream;
use link::LinkError;
use proto::{AgentFrame, GatewayFrame, limits};
use tokio::{net::TcpStream, time::timeout};

use crate::{GatewayUrl, Transport};

mod grpc;
mod ws;

/// What the agent writes on its link.
pub(crate) type Outbound = link::Outbound<AgentFrame, Infallible>;
/// What it reads.
pub(crate) type Inbound = Pin<Box<dyn Stream<Item = Result<GatewayFrame, LinkError>> + Send>>;

/// Why an address gave no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DialError {
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    #[error("no answer within {} s", limits::CONNECT_TIMEOUT.as_secs())]
    Timeout,
    #[error("the other side does not speak HTTP/2: {0}")]
    Handshake(#[source] hyper::Error),
    #[error("the other side refused the stream: {0}")]
    Stream(String),
    #[error(transparent)]
    WebSocket(#[from] ws_bridge::client::OpenError),
    #[error("{0} is not supported by this version")]
    Unsupported(&'static str),
}

/// Connects to `url` and lets its transport carry `outbound`.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(crate) async fn dial(url: &GatewayUrl, outbound: Outbound) -> Result<Inbound, DialError> {
    if url.tls {
        return Err(DialError::Unsupported("TLS"));
    }
    let link = async {
        let stream = connect(url).await?;
        match url.transport {
            Transport::Grpc => grpc::open(url, stream, outbound).await,
            Transport::WebSocket => ws::open(url, stream, outbound).await,
        }
    };
    timeout(limits::CONNECT_TIMEOUT, link).await.map_err(|_| DialError::Timeout)?
}

async fn connect(url: &GatewayUrl) -> Result<TcpStream, DialError> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(DialError::Connect)?;
    stream.set_nodelay(true).map_err(DialError::Connect)?;
    let socket = socket2::SockRef::from(&stream);
    socket.set_tcp_user_timeout(Some(limits::TCP_USER_TIMEOUT)).map_err(DialError::Connect)?;
    Ok(stream)
}
