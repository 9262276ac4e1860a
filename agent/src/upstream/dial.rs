use std::time::Duration;

use tokio::{net::TcpStream, time::timeout};

use super::{Connection, UpstreamError};
use crate::Upstream;

/// How long resolving and connecting may take together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Dials the service, trying every address of its name in turn.
///
/// # Cancel safety
/// Dropping the future closes what was opened.
pub(super) async fn dial(upstream: &Upstream) -> Result<Connection, UpstreamError> {
    let connect = TcpStream::connect((upstream.host.as_str(), upstream.port));
    let stream = timeout(CONNECT_TIMEOUT, connect)
        .await
        .map_err(|_| UpstreamError::connect_timeout(upstream))?
        .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
        .map_err(|source| UpstreamError::connect(upstream, source))?;
    Ok(Connection::new(stream))
}
