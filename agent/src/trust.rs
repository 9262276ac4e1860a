//! Whom to believe, where TLS is spoken: to the local service as well as to the gateway.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tracing::warn;

/// Whose certificates count.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// What the platform trusts, and these as well.
    Certificates(Vec<CertificateDer<'static>>),
    /// Anybody's.
    Anybody,
}

impl Default for Trust {
    fn default() -> Self {
        Self::Certificates(Vec::new())
    }
}

/// Why a file cannot be used to know others by.
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

impl Trust {
    /// The certificates in a PEM file, besides the platform's.
    ///
    /// # Errors
    /// [`InvalidCa`] unless every certificate in it can be used.
    pub(crate) fn with_ca(path: &Path) -> Result<Self, InvalidCa> {
        let certificates = certificates(path)?;
        let mut probe = RootCertStore::empty();
        for certificate in &certificates {
            let wrong = |source| InvalidCa::Certificate { path: path.to_owned(), source };
            probe.add(certificate.clone()).map_err(wrong)?;
        }
        Ok(Self::Certificates(certificates))
    }

    /// A client that trusts these. `flag` is the one that would name another.
    pub(crate) fn client(&self, flag: &str) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let provider = cli::provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("providers know TLS 1.2 and 1.3");
        match self {
            Self::Certificates(certificates) => builder.with_root_certificates(roots(certificates, flag)),
            Self::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            }
        }
    }
}

/// The certificates in a PEM file, of which there must be one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidCa> {
    let read = |source| InvalidCa::Read { path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(read)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(read)?;
    if certificates.is_empty() { Err(InvalidCa::Empty(path.to_owned())) } else { Ok(certificates) }
}

/// What the platform trusts, as far as it can be read, and `certificates`.
fn roots(certificates: &[CertificateDer<'static>], flag: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let platform = rustls_native_certs::load_native_certs();
    for error in &platform.errors {
        warn!(%error, "some of the platform's certificates cannot be read");
    }
    let own = certificates.iter().cloned();
    roots.add_parsable_certificates(platform.certs.into_iter().chain(own));
    if roots.is_empty() {
        warn!("this platform trusts no certificate; name one with {flag}");
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
