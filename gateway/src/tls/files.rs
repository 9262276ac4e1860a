use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    sign::CertifiedKey,
};

use tracing::warn;

use super::CertificateFiles;
#[cfg(feature = "acme")]
use super::Validity;

/// Why a file cannot be used for TLS. What is in it is not repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFileError {
    /// It cannot be read, or is no PEM.
    #[error("cannot read {what} from {}: {source}", path.display())]
    Read {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// There is no certificate in it.
    #[error("there is no certificate in {}; it must hold one or more in PEM (BEGIN CERTIFICATE)", .0.display())]
    Empty(PathBuf),
    /// The key is of a kind that is not known, or another certificate's.
    #[error("{} and {} are no pair: {source}; the key must be the certificate's own, which stands first", cert.display(), key.display())]
    Pair {
        /// The file with the certificate.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// What is wrong with them.
        source: rustls::Error,
    },
    /// A certificate in it is none.
    #[error("{} holds a certificate that cannot be used: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
}

/// Reads a certificate with its key.
pub(super) fn certificate(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsFileError> {
    pair(files, provider).map(Arc::new)
}

/// Reads a certificate that was ordered. There may be none yet, and one that cannot be used is ordered again.
pub(super) fn ordered(file: PathBuf, provider: &CryptoProvider) -> Option<Arc<CertifiedKey>> {
    if !file.exists() {
        return None;
    }
    let read = both(&file, provider);
    read.inspect_err(|error| warn!(%error, "an ordered certificate cannot be used")).ok().map(Arc::new)
}

/// From when until when an ordered certificate is good; `None` if there is none that can be used.
#[cfg(feature = "acme")]
pub(crate) fn validity(file: &Path) -> Option<Validity> {
    let certified = both(file, &cli::provider()).ok()?;
    Validity::of(certified.end_entity_cert().ok()?)
}

/// An ordered certificate, without its chain; `None` if there is none that can be used.
#[cfg(feature = "acme")]
pub(crate) fn first(file: &Path) -> Option<CertificateDer<'static>> {
    let certified = both(file, &rustls::crypto::ring::default_provider()).ok()?;
    certified.cert.into_iter().next()
}

/// Reads a file that holds a certificate, its chain and its key.
fn both(file: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsFileError> {
    pair(&CertificateFiles { cert: file.to_owned(), key: file.to_owned() }, provider)
}

fn pair(files: &CertificateFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsFileError> {
    let CertificateFiles { cert, key } = files;
    let chain = chain(cert)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsFileError::Read {
        what: "a private key",
        path: key.clone(),
        source,
    })?;
    CertifiedKey::from_der(chain, secret, provider).map_err(|source| TlsFileError::Pair {
        cert: cert.clone(),
        key: key.clone(),
        source,
    })
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let unreadable = |source| TlsFileError::Read { what: "certificates", path: path.to_owned(), source };
    let certificates = CertificateDer::pem_file_iter(path).map_err(unreadable)?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(unreadable)?;
    if certificates.is_empty() { Err(TlsFileError::Empty(path.to_owned())) } else { Ok(certificates) }
}

/// Reads who signs the certificates of others.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(path)? {
        let unusable = |source| TlsFileError::Certificate { path: path.to_owned(), source };
        roots.add(certificate).map_err(unusable)?;
    }
    Ok(roots)
}
