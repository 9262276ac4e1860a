//! Whom to believe, where TLS is spoken: to the local service as well as to the gateway.

use std::{path::Path, sync::Arc};

use cli::pem::{self, PemError};
use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WantsClientCert, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tracing::warn;

mod explain;
mod pinned;

pub(crate) use explain::{Peer, explain};
use pinned::Pinned;

/// Whose certificates count.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// What the platform trusts, and these as well.
    Certificates(Vec<CertificateDer<'static>>),
    /// Anybody's.
    Anybody,
}

impl Trust {
    /// Trusts `anybody`, or else what the platform trusts and the certificates in a PEM file, if there is one.
    ///
    /// # Errors
    /// [`PemError`] unless every certificate in the file can be used.
    pub(crate) fn read(ca: Option<&Path>, anybody: bool) -> Result<Self, PemError> {
        match ca {
            _ if anybody => Ok(Self::Anybody),
            Some(path) => pem::authorities(path).map(Self::Certificates),
            None => Ok(Self::Certificates(Vec::new())),
        }
    }

    /// A client that trusts these. `flag` is the one that would name another.
    pub(crate) fn client(&self, flag: &str) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let provider = cli::provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("providers know TLS 1.2 and 1.3");
        match self {
            Self::Certificates(own) if own.is_empty() => builder.with_root_certificates(roots(own, flag)),
            Self::Certificates(own) => {
                let paths = WebPkiServerVerifier::builder_with_provider(roots(own, flag).into(), provider);
                let paths = paths.build().expect("there is an authority, and nothing is revoked");
                let verifier = Arc::new(Pinned::new(paths, own.clone()));
                builder.dangerous().with_custom_certificate_verifier(verifier)
            }
            Self::Anybody => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            }
        }
    }
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
