use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use instant_acme::CertificateIdentifier;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use zeroize::Zeroizing;

use super::{
    super::{begin::Started, shared::Question},
    Cache, CacheError, error,
};
use crate::tls::{self, Validity};

/// The right to order. It ends with this value, and with the process.
#[derive(Debug)]
pub(in crate::acme) struct Lock {
    _file: File,
}

/// What the others are told.
#[derive(Debug)]
pub(in crate::acme) struct Announced {
    file: PathBuf,
}

impl Drop for Announced {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file); // somebody may have tidied up
    }
}

impl Cache {
    /// From when until when the certificate for `domain` is good; `None` if there is none that can be used.
    pub(in crate::acme) fn validity(&self, domain: &str) -> Option<Validity> {
        tls::validity(&self.certificate(domain))
    }

    /// Replaces a certificate.
    pub(in crate::acme) fn store_certificate(&self, domain: &str, pem: &str) -> Result<(), CacheError> {
        self.replace(&self.certificate(domain), pem.as_bytes())
    }

    /// Who the authority knows us as, and the key to it.
    pub(in crate::acme) fn account(&self) -> Result<Option<Zeroizing<Vec<u8>>>, CacheError> {
        match fs::read(self.account_file()) {
            Ok(account) => Ok(Some(Zeroizing::new(account))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(error(&self.account_file(), source)),
        }
    }

    pub(in crate::acme) fn store_account(&self, account: &[u8]) -> Result<(), CacheError> {
        self.replace(&self.account_file(), account)
    }

    /// The authority does not know us.
    pub(in crate::acme) fn forget_account(&self) -> Result<(), CacheError> {
        fs::remove_file(self.account_file()).map_err(|source| error(&self.account_file(), source))
    }

    /// What the authority calls the certificate for `domain` (RFC 9773, section 4.1); `None` if there is none that can be
    /// used, or nobody signed it.
    pub(in crate::acme) fn certificate_id(&self, domain: &str) -> Option<CertificateIdentifier<'static>> {
        let certificate = tls::first(&self.certificate(domain))?;
        CertificateIdentifier::try_from(&certificate).ok().map(CertificateIdentifier::into_owned)
    }

    /// The order for `domain` that is not over yet.
    pub(in crate::acme) fn order(&self, domain: &str) -> Option<Started> {
        let text = fs::read(self.order_file(domain)).map(Zeroizing::new).ok()?;
        serde_json::from_slice(&text).ok()
    }

    pub(in crate::acme) fn store_order(&self, domain: &str, order: &Started) -> Result<(), CacheError> {
        let text = serde_json::to_vec(order).map(Zeroizing::new).expect("an order is plain");
        self.replace(&self.order_file(domain), &text)
    }

    /// It is over, one way or another.
    pub(in crate::acme) fn forget_order(&self, domain: &str) -> Result<(), CacheError> {
        let path = self.order_file(domain);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(error(&path, source)),
            _ => Ok(()),
        }
    }

    /// Tells the others that share this directory what the authority will look for, until what is returned is dropped.
    pub(in crate::acme) fn announce(&self, question: &Question) -> Result<Announced, CacheError> {
        let file = self.question_file();
        self.replace(&file, &serde_json::to_vec(question).expect("a question is plain"))?;
        Ok(Announced { file })
    }

    /// What one of them has announced.
    pub(in crate::acme) fn question(&self) -> Option<Question> {
        serde_json::from_slice(&fs::read(self.question_file()).ok()?).ok()
    }

    /// `None` if somebody else orders.
    pub(in crate::acme) fn lock(&self) -> Result<Option<Lock>, CacheError> {
        let failed = |source| error(&self.lock_file(), source);
        let file = self.open_lock().map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // Whoever had it may have ended in the middle.
                let _ = fs::remove_file(self.question_file());
                Ok(Some(Lock { _file: file }))
            }
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    pub(super) fn account_file(&self) -> PathBuf {
        self.directory.join("account.json")
    }

    pub(super) fn order_file(&self, domain: &str) -> PathBuf {
        self.directory.join(format!("{domain}.order.json"))
    }

    fn question_file(&self) -> PathBuf {
        self.directory.join("pending.json")
    }

    /// Writes beside it first: whoever reads sees all of the old or all of the new.
    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), CacheError> {
        let write = || {
            // Temporary files are their owner's only.
            let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
            file.write_all(content)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            io::Result::Ok(())
        };
        write().map_err(|source| error(path, source))
    }
}
