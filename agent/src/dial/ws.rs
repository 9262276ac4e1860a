use http::Uri;
use tokio::io::{AsyncRead, AsyncWrite};
use ws_bridge::client::OpenError;

use super::{DialError, Inbound, Outbound};
use crate::GatewayUrl;

/// Upgrades a connection of its own to WebSocket.
pub(super) async fn open<S>(url: &GatewayUrl, stream: S, outbound: Outbound) -> Result<Inbound, DialError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = Uri::builder().scheme("ws").authority(url.authority()).path_and_query("/");
    let uri = builder.build().expect("host and port were checked when the URL was parsed");
    match ws_bridge::client::open(uri, stream, outbound).await {
        Ok(inbound) => Ok(Box::pin(inbound)),
        Err(OpenError::Refused { headers, .. }) if headers.contains_key(proto::ERROR_FIELD) => {
            Err(DialError::ClientsPort)
        }
        Err(error) => Err(error.into()),
    }
}
