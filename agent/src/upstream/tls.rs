use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use cli::pem::PemError;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::stream::Stream;
use crate::{reloading::Reloading, trust::Trust};

/// Whom to believe that it is the local service, where that is asked over TLS. Cheap to clone.
///
/// Its file is looked at before each connection, as those of [`GatewayTls`](crate::GatewayTls) are.
#[derive(Clone)]
pub struct UpstreamTls {
    ca: Option<PathBuf>,
    anybody: bool,
    current: Arc<Reloading<Inner>>,
}

struct Inner {
    trust: Trust,
    /// Made for the first connection: reading the platform's certificates takes a while.
    config: OnceLock<Arc<ClientConfig>>,
}

impl UpstreamTls {
    /// Trusts the certificates in a PEM file as well as the platform's.
    ///
    /// # Errors
    /// [`PemError`] unless every certificate in it can be used.
    pub fn with_ca(path: &Path) -> Result<Self, PemError> {
        Self::of(Some(path.to_owned()), false)
    }

    /// Believes anybody: who can come in between reads and changes everything.
    pub fn insecure() -> Self {
        Self::without_file(true)
    }

    fn without_file(anybody: bool) -> Self {
        Self::of(None, anybody).expect("no file is read where none is named")
    }

    fn of(ca: Option<PathBuf>, anybody: bool) -> Result<Self, PemError> {
        let current = Reloading::new(ca.iter().cloned().collect(), || read(ca.as_deref(), anybody))?;
        Ok(Self { ca, anybody, current: Arc::new(current) })
    }

    /// Speaks TLS on a connection to `host`, and offers the protocols `alpn`.
    pub(super) async fn connect(&self, host: &str, alpn: &[&[u8]], tcp: TcpStream) -> io::Result<Stream> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let current = self.current.current(|| read(self.ca.as_deref(), self.anybody));
        let made = || Arc::new(current.trust.client("--upstream-ca").with_no_client_auth());
        let mut config = ClientConfig::clone(current.config.get_or_init(made));
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        Ok(Stream::Right(Box::new(stream)))
    }
}

fn read(ca: Option<&Path>, anybody: bool) -> Result<Inner, PemError> {
    Ok(Inner { trust: Trust::read(ca, anybody)?, config: OnceLock::new() })
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self::without_file(false)
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ca, anybody, .. } = self;
        f.debug_struct("UpstreamTls").field("ca", ca).field("insecure", anybody).finish_non_exhaustive()
    }
}
