mod key_kind;

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

/// Why a file cannot be used for TLS. What is in it is not repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsFileError {
    /// It is not the PEM that it should be.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The key is of a kind that cannot be used.
    #[error(
        "the key in {} cannot be used: it is {kind}, and RSA of 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519 is \
         needed; make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out NEW.key`, and get a \
         certificate for that",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What it is called.
        kind: String,
    },
    /// The key is another certificate's.
    #[error(
        "{} and {} are no pair; the key must be that of the certificate which stands first in its file, before its chain",
        cert.display(), key.display()
    )]
    Pair {
        /// The file with the certificate.
        cert: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// A certificate in it is none.
    #[error("{} holds a certificate that cannot be used: {cause}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: rustls::Error,
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
    let certified = both(file, &cli::provider()).ok()?;
    certified.cert.into_iter().next()
}

/// Reads a file that holds a certificate, its chain and its key.
fn both(file: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsFileError> {
    pair(&CertificateFiles { cert: file.to_owned(), key: file.to_owned() }, provider)
}

fn pair(files: &CertificateFiles, provider: &CryptoProvider) -> Result<CertifiedKey, TlsFileError> {
    let CertificateFiles { cert, key } = files;
    let chain = pem::certificates(cert)?;
    let secret = pem::private_key(key)?;
    CertifiedKey::from_der(chain, secret.clone_key(), provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsFileError::Pair { cert: cert.clone(), key: key.clone() },
        cause @ rustls::Error::InvalidCertificate(_) => {
            TlsFileError::Certificate { path: cert.clone(), cause }
        }
        _ => TlsFileError::Key { path: key.clone(), kind: key_kind::kind(&secret) },
    })
}

/// Reads who signs the certificates of others.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, TlsFileError> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path)? {
        let unusable = |cause| TlsFileError::Certificate { path: path.to_owned(), cause };
        roots.add(certificate).map_err(unusable)?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{KeyPair, generate_simple_self_signed};

    use super::*;

    /// What is said of a certificate and a key with this content.
    fn said(cert: &[u8], key: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = CertificateFiles { cert: path("cert.pem"), key: path("key.pem") };
        fs::write(&files.cert, cert).unwrap();
        fs::write(&files.key, key).unwrap();
        let error = certificate(&files, &cli::provider()).unwrap_err();
        assert!(std::error::Error::source(&error).is_none(), "it would be told twice");
        error.to_string().replace(&*directory.path().to_string_lossy(), "DIR")
    }

    #[test]
    fn what_is_wrong_is_named_with_its_remedy() {
        let made = generate_simple_self_signed(["one.example".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let other = KeyPair::generate().unwrap().serialize_pem();
        let encrypted = key.replace(" PRIVATE", " ENCRYPTED PRIVATE");
        let half = &key[..key.len() / 2];
        let marked = format!("\u{feff}{cert}");
        let indented = format!("  {}", cert.replace('\n', "\n  "));
        let unknown =
            key.replace("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEH", "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEI");
        let [cert, key] = [cert.as_bytes(), key.as_bytes()];
        for (cert, key, parts) in [
            (cert, other.as_bytes(), ["DIR/cert.pem and DIR/key.pem are no pair", "stands first"]),
            (cert, encrypted.as_bytes(), ["passphrase", "openssl pkey -in DIR/key.pem -out"]),
            (cert, half.as_bytes(), ["from DIR/key.pem: its end is missing", "copy it again"]),
            (cert, &made.signing_key.serialize_der(), ["is DER", "openssl pkey -inform DER -in DIR/key.pem"]),
            (made.cert.der(), key, ["is DER", "openssl x509 -inform DER -in DIR/cert.pem"]),
            (marked.as_bytes(), key, ["byte order mark", "tail -c +4 DIR/cert.pem >"]),
            (indented.as_bytes(), key, ["indented", "sed 's/^[[:blank:]]*//' DIR/cert.pem"]),
            (cert, cert, ["there is no private key in DIR/key.pem", "BEGIN PRIVATE KEY"]),
            (key, key, ["there is no certificate in DIR/cert.pem", "BEGIN CERTIFICATE"]),
            (cert, unknown.as_bytes(), ["the key in DIR/key.pem cannot be used: it is", "openssl genpkey"]),
        ] {
            let said = said(cert, key);
            assert!(parts.iter().all(|part| said.contains(part)), "{parts:?}: {said}");
        }
    }
}
