//! Certificates and keys in PEM files, and what is wrong with a file that does not give them.

use std::{fs, path::Path};

use rustls::{
    CertificateError, OtherError, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

mod error;
mod flaw;
mod key_kind;

pub use error::PemError;
pub use flaw::PemFlaw;

/// What may be in a file.
const CERTIFICATES: &str = "certificates";
const KEY: &str = "a private key";

/// The certificates in a file, at least one, in their order.
///
/// # Errors
/// [`PemError`].
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates: Vec<_> = sections(path, CERTIFICATES)?;
    if certificates.is_empty() { Err(PemError::NoCertificate(path.to_owned())) } else { Ok(certificates) }
}

/// The first private key in a file.
///
/// # Errors
/// [`PemError`].
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    let keys: Vec<_> = sections(path, KEY)?;
    keys.into_iter().next().ok_or_else(|| PemError::NoKey(path.to_owned()))
}

/// The certificates in a file, at least one, each of which may sign those of others or be pinned.
///
/// # Errors
/// [`PemError`].
pub fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates = certificates(path)?;
    let mut probe = RootCertStore::empty();
    for certificate in &certificates {
        probe.add(certificate.clone()).map_err(|error| unusable(path, &error))?;
    }
    Ok(certificates)
}

/// A certificate with its chain, and the key that belongs to it. Both may be in the same file.
///
/// # Errors
/// [`PemError`].
pub fn pair(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, PemError> {
    let chain = certificates(cert)?;
    let secret = private_key(key)?;
    CertifiedKey::from_der(chain, secret.clone_key(), provider).map_err(|error| match &error {
        rustls::Error::InconsistentKeys(_) => PemError::Pair { cert: cert.to_owned(), key: key.to_owned() },
        rustls::Error::InvalidCertificate(_) => unusable(cert, &error),
        _ => PemError::Key { path: key.to_owned(), kind: key_kind::kind(&secret) },
    })
}

fn unusable(path: &Path, error: &rustls::Error) -> PemError {
    let problem = match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            match other.downcast_ref() {
                Some(webpki::Error::UnsupportedCertVersion) => return PemError::Version(path.to_owned()),
                Some(problem) => crate::in_words(problem),
                None => other.to_string(),
            }
        }
        rustls::Error::InvalidCertificate(problem) => crate::in_words(problem),
        other => other.to_string(),
    };
    PemError::Certificate { path: path.to_owned(), problem }
}

/// All of one kind that a file holds.
fn sections<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, PemError> {
    let unreadable = |cause| PemError::Read { what, path: path.to_owned(), cause };
    let flawed = |flaw| PemError::Flawed { what, path: path.to_owned(), flaw };
    let content = fs::read(path).map(Zeroizing::new).map_err(|error| unreadable(pem::Error::Io(error)))?;
    if let Some(flaw) = PemFlaw::hidden(&content) {
        return Err(flawed(flaw));
    }
    let read: Result<Vec<_>, _> = T::pem_slice_iter(&content).collect();
    match (read, PemFlaw::of(&content)) {
        (Ok(sections), _) if !sections.is_empty() => Ok(sections),
        (_, Some(flaw)) => Err(flawed(flaw)),
        (read, None) => read.map_err(unreadable),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, generate_simple_self_signed};

    use super::*;

    /// Made by `openssl x509 -req` without -extfile.
    const VERSION_1: &str = "-----BEGIN CERTIFICATE-----\n\
        MIIBHDCBwgIUJgkujky0kYvPoNgpqwPwROvB+RUwCgYIKoZIzj0EAwIwETEPMA0G\n\
        A1UEAwwGYWdlbnRzMB4XDTI2MTEyNjIyMDExMFoXDTI3MDIyNDIyMDExMFowEDEO\n\
        MAwGA1UEAwwFbXlhcHAwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATqDEGYUG0r\n\
        tt32ECue2HcVCFyq5l0SG6BEz4oBXIKViEBnVz1kqS3iNQZDDYjFdTY1VH0SL0tK\n\
        NbbzP0SsiSImMAoGCCqGSM49BAMCA0kAMEYCIQDWMLcQcmY0UyhqZjN/q/YHhOwu\n\
        O2hgryryFQBs9334qAIhAIa9OZkicHVYaED3YnzPhJ/0b1RwiZDDi5hP+zrLSqNl\n\
        -----END CERTIFICATE-----\n";

    /// What is said of a certificate and a key with this content.
    fn said(cert: &[u8], key: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = [path("cert.pem"), path("key.pem")];
        for (file, content) in files.iter().zip([cert, key]) {
            fs::write(file, content).unwrap();
        }
        let error = pair(&files[0], &files[1], &crate::provider()).unwrap_err();
        assert!(std::error::Error::source(&error).is_none(), "it would be told twice");
        error.to_string().replace(&*directory.path().to_string_lossy(), "DIR")
    }

    #[test]
    fn a_certificate_of_version_1_is_named_with_its_remedy() {
        let key = KeyPair::generate().unwrap().serialize_pem();
        let said = said(VERSION_1.as_bytes(), key.as_bytes());
        for part in
            ["DIR/cert.pem", "X.509 version 1", "-extfile", "basicConstraints=CA:FALSE", "=clientAuth"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
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
