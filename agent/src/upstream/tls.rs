use std::{
    fmt, io,
    path::Path,
    sync::{Arc, OnceLock},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use crate::trust::{InvalidCa, Trust};

/// Whom to believe that it is the local service, where that is asked over TLS. Cheap to clone.
#[derive(Clone, Default)]
pub struct UpstreamTls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    trust: Trust,
    /// Made for the first connection: reading the platform's certificates takes a while.
    config: OnceLock<Arc<ClientConfig>>,
}

impl UpstreamTls {
    /// Trusts the certificates in a PEM file as well as the platform's.
    ///
    /// # Errors
    /// [`InvalidCa`] unless every certificate in it can be used.
    pub fn with_ca(path: &Path) -> Result<Self, InvalidCa> {
        Ok(Self::of(Trust::with_ca(path)?))
    }

    /// Believes anybody: who can come in between reads and changes everything.
    pub fn insecure() -> Self {
        Self::of(Trust::Anybody)
    }

    fn of(trust: Trust) -> Self {
        Self(Arc::new(Inner { trust, config: OnceLock::new() }))
    }

    /// Speaks TLS on a connection to `host`, and offers the protocols `alpn`.
    pub(super) async fn connect(&self, host: &str, alpn: &[&[u8]], tcp: TcpStream) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let made = || Arc::new(self.0.trust.client("--upstream-ca").with_no_client_auth());
        let mut config = ClientConfig::clone(self.0.config.get_or_init(made));
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        Ok(Stream::Right(Box::new(stream)))
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.trust {
            Trust::Certificates(certificates) => write!(f, "UpstreamTls(+{})", certificates.len()),
            Trust::Anybody => f.write_str("UpstreamTls(insecure)"),
        }
    }
}
