use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, OnceLock},
};

use proto::auth;
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Transport,
    connect_request::Binding,
    trust::{self, InvalidCa, Trust},
};

mod explain;
mod explained;

pub(crate) use explain::explain;
pub(crate) use explained::Explained;

/// Whom to believe that it is the gateway, and what to show it. Cheap to clone.
#[derive(Clone, Default)]
pub struct GatewayTls {
    trust: Arc<Trust>,
    /// The name that the gateway's certificate must be for, if not that which is dialled.
    server_name: Option<ServerName<'static>>,
    certificate: Option<Arc<ClientCertificate>>,
    /// Made for the first connection: reading the platform's certificates takes a while.
    config: Arc<OnceLock<ClientConfig>>,
}

struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Whether the signature of an agent is bound to its TLS connection, so that nobody who opens the connection in between can pass
/// the signature on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelBinding {
    /// Where there is TLS; not if the gateway says that it sees none, which is warned of.
    #[default]
    Auto,
    /// Always, or there is no link.
    Require,
    /// Never.
    None,
}

/// A text that cannot be the name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a host name nor an address")]
pub struct InvalidServerName(String);

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidClientCert {
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] InvalidCa),
    /// There is no key.
    #[error("cannot read a private key from {}: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// They do not belong together.
    #[error("{} and {} are no pair: {source}", cert.display(), key.display())]
    Pair {
        /// The file with the certificate.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

impl GatewayTls {
    /// Trusts the certificates in a PEM file as well as the platform's.
    ///
    /// # Errors
    /// [`InvalidCa`] unless every certificate in it can be used.
    pub fn with_ca(path: &Path) -> Result<Self, InvalidCa> {
        Ok(Self { trust: Arc::new(Trust::with_ca(path)?), ..Self::default() })
    }

    /// Believes anybody: who can come in between is the gateway.
    pub fn insecure() -> Self {
        Self { trust: Arc::new(Trust::Anybody), ..Self::default() }
    }

    /// The same, and the gateway's certificate must be for `name` instead of the host that is dialled.
    ///
    /// # Errors
    /// [`InvalidServerName`].
    pub fn with_server_name(self, name: &str) -> Result<Self, InvalidServerName> {
        let parsed = ServerName::try_from(name.to_owned()).map_err(|_| InvalidServerName(name.to_owned()))?;
        Ok(Self { server_name: Some(parsed), config: Arc::default(), ..self })
    }

    /// The same, and a certificate is shown to a gateway that asks for one.
    ///
    /// # Errors
    /// [`InvalidClientCert`].
    pub fn with_certificate(self, cert: &Path, key: &Path) -> Result<Self, InvalidClientCert> {
        let chain = trust::certificates(cert)?;
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|source| InvalidClientCert::Key { path: key.to_owned(), source })?;
        CertifiedKey::from_der(chain.clone(), secret.clone_key(), &cli::provider()).map_err(|source| {
            InvalidClientCert::Pair { cert: cert.to_owned(), key: key.to_owned(), source }
        })?;
        let certificate = Some(Arc::new(ClientCertificate { chain, key: secret }));
        Ok(Self { certificate, config: Arc::default(), ..self })
    }

    /// Speaks TLS on a connection to `host`.
    ///
    /// # Errors
    /// What the other side did wrong; see [`explain`].
    pub(crate) async fn connect<S>(
        &self,
        host: &str,
        transport: Transport,
        stream: S,
    ) -> std::io::Result<(TlsStream<S>, Binding)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?,
        };
        let mut config = self.config.get_or_init(|| self.config()).clone();
        config.alpn_protocols = vec![match transport {
            Transport::Grpc => b"h2".to_vec(),
            Transport::WebSocket => b"http/1.1".to_vec(),
        }];
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let mut value = [0; auth::BINDING_LEN];
        let (_, connection) = stream.get_ref();
        connection
            .export_keying_material(&mut value, auth::BINDING_LABEL, None)
            .map_err(std::io::Error::other)?;
        Ok((stream, Binding::Tls(value)))
    }

    fn config(&self) -> ClientConfig {
        let builder = self.trust.client("--ca-file");
        let mut config = match self.certificate.as_deref() {
            None => builder.with_no_client_auth(),
            Some(ClientCertificate { chain, key }) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .expect("certificate and key were checked when they were read"),
        };
        // Without it the exporter of TLS 1.2 binds nothing (RFC 9266, section 3).
        config.require_ems = true;
        // A link lives long, and each must be between the same two keys from its beginning.
        config.resumption = rustls::client::Resumption::disabled();
        config
    }
}

impl FromStr for ChannelBinding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        clap::ValueEnum::from_str(text, true)
    }
}

impl fmt::Debug for GatewayTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust, server_name, certificate, .. } = self;
        let (certificates, anybody) = match &**trust {
            Trust::Certificates(certificates) => (certificates.len(), false),
            Trust::Anybody => (0, true),
        };
        f.debug_struct("GatewayTls")
            .field("own_authorities", &certificates)
            .field("insecure", &anybody)
            .field("server_name", server_name)
            .field("shows_certificate", &certificate.is_some())
            .finish()
    }
}
