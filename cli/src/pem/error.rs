use std::path::PathBuf;

use rustls::pki_types::pem;

use super::PemFlaw;

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
    /// A certificate in it is none.
    #[error("{} holds a certificate that cannot be used ({problem})", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate in it is of version 1.
    #[error(
        "{} holds a certificate of X.509 version 1, and 3 is needed; `openssl x509 -req` makes one with -extfile FILE, where FILE \
         has the lines basicConstraints=CA:FALSE and extendedKeyUsage=clientAuth (for a server serverAuth, and \
         subjectAltName=DNS:NAME)",
        .0.display()
    )]
    Version(PathBuf),
    /// The key in it is of a kind that cannot be used.
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
}
