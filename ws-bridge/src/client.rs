//! The agent's end.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use http::{HeaderValue, Uri, header::SEC_WEBSOCKET_PROTOCOL};
use link::{LinkError, Outbound};
use proto::{AgentFrame, GatewayFrame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest as _,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::{SUBPROTOCOL, config, duplex, header::Side, read, write};

/// An agent has few links, and may as well read much at a time.
const READ_BUFFER: usize = 32 * 1024;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The other side answered, but not with an upgrade.
    #[error("the other side answered {status} instead of upgrading to WebSocket{}", hint(.body))]
    Refused {
        /// The status of its answer.
        status: http::StatusCode,
        /// The fields of its answer.
        headers: Box<http::HeaderMap>,
        /// The first line of its answer.
        body: String,
    },
    /// It upgraded to another sub-protocol than ours.
    #[error("the other side does not speak {SUBPROTOCOL}")]
    Subprotocol,
    /// It does not speak WebSocket.
    #[error("no WebSocket: {0}")]
    Handshake(#[source] Box<tungstenite::Error>),
}

fn hint(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(" ({body})") }
}

/// Opens a link over `stream`, which is connected to the host in `uri`, and lets it carry `outbound`. Dropping the
/// returned stream closes the connection.
///
/// # Errors
/// [`OpenError`] says what the other side did instead.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub async fn open<S>(
    uri: Uri,
    stream: S,
    mut outbound: Outbound<AgentFrame, Infallible>,
) -> Result<Inbound, OpenError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut request = uri.into_client_request().map_err(|error| OpenError::Handshake(Box::new(error)))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    let config = Some(config::websocket(READ_BUFFER));
    let (reading, writing) = duplex::split(stream);
    let (mut messages, _response) =
        client_async_with_config(request, reading, config).await.map_err(refused)?;
    messages.get_mut().shaken();
    let writer = tokio::spawn(async move {
        if let Err(error) = write::run(&mut outbound, &writing, Side::Client, |_| leaving()).await {
            debug!(%error, "connection to the gateway ended");
        }
    });
    Ok(Inbound { frames: Box::pin(read::Frames::new(messages)), _writer: AbortOnDropHandle::new(writer) })
}

fn leaving() -> CloseFrame {
    CloseFrame { code: CloseCode::Away, reason: "the agent leaves".into() }
}

fn refused(error: tungstenite::Error) -> OpenError {
    use tungstenite::error::{Error, ProtocolError};
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let line =
                String::from_utf8_lossy(body).lines().next().unwrap_or_default().chars().take(200).collect();
            let headers = Box::new(response.headers().clone());
            OpenError::Refused { status: response.status(), headers, body: line }
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => OpenError::Subprotocol,
        error => OpenError::Handshake(Box::new(error)),
    }
}

/// The frames of the gateway.
pub struct Inbound {
    frames: Pin<Box<dyn Stream<Item = Result<GatewayFrame, LinkError>> + Send>>,
    _writer: AbortOnDropHandle<()>,
}

impl Stream for Inbound {
    type Item = Result<GatewayFrame, LinkError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.frames.as_mut().poll_next(cx)
    }
}

impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").finish_non_exhaustive()
    }
}
