use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tracing::warn;

use super::stream::Stream;

/// Whom to believe that it is the local service, where that is asked over TLS. Cheap to clone.
#[derive(Clone, Default)]
pub struct UpstreamTls(Arc<Inner>);

#[derive(Default)]
struct Inner {
    trust: Trust,
    /// Made for the first connection: reading the platform's certificates takes a while.
    config: OnceLock<Arc<ClientConfig>>,
}

enum Trust {
    /// What the platform trusts, and these as well.
    Certificates(Vec<CertificateDer<'static>>),
    /// Anybody.
    Anybody,
}

impl Default for Trust {
    fn default() -> Self {
        Self::Certificates(Vec::new())
    }
}

/// Why a file cannot be used to know a service by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCa {
    /// It cannot be read, or is no PEM.
    #[error("cannot read certificates from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// There is none in it.
    #[error("there is no certificate in {}; it must hold one or more in PEM (BEGIN CERTIFICATE)", .0.display())]
    Empty(PathBuf),
    /// One of them is none.
    #[error("{} holds a certificate that cannot be used: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

impl UpstreamTls {
    /// Trusts the certificates in a PEM file as well as the platform's.
    ///
    /// # Errors
    /// [`InvalidCa`] unless every certificate in it can be used.
    pub fn with_ca(path: &Path) -> Result<Self, InvalidCa> {
        let read = |source| InvalidCa::Read { path: path.to_owned(), source };
        let certificates = CertificateDer::pem_file_iter(path).map_err(read)?;
        let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(read)?;
        if certificates.is_empty() {
            return Err(InvalidCa::Empty(path.to_owned()));
        }
        let mut probe = RootCertStore::empty();
        for certificate in &certificates {
            let wrong = |source| InvalidCa::Certificate { path: path.to_owned(), source };
            probe.add(certificate.clone()).map_err(wrong)?;
        }
        Ok(Self::of(Trust::Certificates(certificates)))
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
        let mut config = ClientConfig::clone(self.0.config.get_or_init(|| Arc::new(config(&self.0.trust))));
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

fn config(trust: &Trust) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().expect("ring knows TLS 1.2 and 1.3");
    match trust {
        Trust::Certificates(certificates) => {
            builder.with_root_certificates(roots(certificates)).with_no_client_auth()
        }
        Trust::Anybody => {
            let anybody = Arc::new(Anybody(provider));
            builder.dangerous().with_custom_certificate_verifier(anybody).with_no_client_auth()
        }
    }
}

/// What the platform trusts, as far as it can be read, and `certificates`.
fn roots(certificates: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let platform = rustls_native_certs::load_native_certs();
    for error in &platform.errors {
        warn!(%error, "some of the platform's certificates cannot be read");
    }
    let own = certificates.iter().cloned();
    roots.add_parsable_certificates(platform.certs.into_iter().chain(own));
    if roots.is_empty() {
        warn!("this platform trusts no certificate; name one with --upstream-ca");
    }
    roots
}

/// Takes every certificate. That the handshake was made with its key is still checked.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
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
