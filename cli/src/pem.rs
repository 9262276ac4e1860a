//! Certificates and keys in PEM files, and what is wrong with a file that does not give them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};
use zeroize::Zeroizing;

mod flaw;

pub use flaw::PemFlaw;

/// What may be in a file.
const CERTIFICATES: &str = "certificates";
const KEY: &str = "a private key";

/// Why a file does not give what it should. What is in it is not repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PemError {
    /// It cannot be read, or is no PEM.
    #[error("cannot read {what} from {}: {cause}", path.display())]
    Read {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// It is in another form than that which is read.
    #[error("cannot read {what} from {}: {}", path.display(), flaw.remedy(path, what))]
    Flawed {
        /// What should be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// In which form it is.
        flaw: PemFlaw,
    },
    /// There is no certificate in it.
    #[error("there is no certificate in {}; it must hold one or more in PEM (BEGIN CERTIFICATE)", .0.display())]
    NoCertificate(PathBuf),
    /// There is no key in it.
    #[error("there is no private key in {}; it must hold one in PEM (BEGIN PRIVATE KEY)", .0.display())]
    NoKey(PathBuf),
}

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
