use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cli::pem::{self, PemError};
#[cfg(feature = "acme")]
use rustls::pki_types::CertificateDer;
use rustls::{RootCertStore, crypto::CryptoProvider, sign::CertifiedKey};
use tracing::warn;

use super::CertificateFiles;
#[cfg(feature = "acme")]
use super::Validity;

/// Reads a certificate with its key.
pub(super) fn certificate(
    files: &CertificateFiles,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, PemError> {
    pem::pair(&files.cert, &files.key, provider).map(Arc::new)
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
    let certified = both(file, &cli::provider()).ok()?;
    certified.cert.into_iter().next()
}

/// Reads a file that holds a certificate, its chain and its key.
fn both(file: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, PemError> {
    pem::pair(file, file, provider)
}

/// Reads who signs the certificates of others.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(pem::authorities(path)?);
    Ok(roots)
}
