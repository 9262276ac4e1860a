use std::{io, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use super::{UpstreamError, UpstreamTls, stream::Stream};
use crate::Upstream;

/// How long resolving and connecting may take together, and TLS.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What to speak with the service, where it has a say in it (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    Http1,
    /// HTTP/2, or HTTP/1.1 if the service has no better.
    Http2,
}

impl Offer {
    fn alpn(self) -> &'static [&'static [u8]] {
        match self {
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2", b"http/1.1"],
        }
    }
}

/// Dials the service, trying every address of its name in turn.
///
/// # Cancel safety
/// Dropping the future closes what was opened.
pub(crate) async fn dial(
    upstream: &Upstream,
    tls: &UpstreamTls,
    offer: Offer,
) -> Result<Stream, UpstreamError> {
    let connect = async {
        let tcp = tcp(upstream).await.map_err(|source| UpstreamError::connect(upstream, source))?;
        if !upstream.tls {
            return Ok(Stream::Left(tcp));
        }
        let connected = tls.connect(&upstream.host, offer.alpn(), tcp).await;
        connected.map_err(|source| UpstreamError::tls(upstream, source))
    };
    timeout(CONNECT_TIMEOUT, connect).await.map_err(|_| UpstreamError::connect_timeout(upstream))?
}

async fn tcp(upstream: &Upstream) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((upstream.host.as_str(), upstream.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
