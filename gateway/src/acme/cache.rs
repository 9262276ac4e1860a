use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

#[cfg(feature = "acme")]
use super::shared::Question;
#[cfg(feature = "acme")]
use crate::tls::{self, Validity};

/// What an authority has given, in files that only their owner reads. Each authority has a directory of its own, so that what
/// one of them gave for a trial is never taken for another's.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
}

/// What of the cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} for ACME: it must be a directory that this user may write to", path.display())]
pub struct CacheError {
    path: PathBuf,
    source: io::Error,
}

/// The right to order. It ends with this value, and with the process.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// What the others are told.
#[cfg(feature = "acme")]
#[derive(Debug)]
pub(super) struct Announced {
    file: PathBuf,
}

#[cfg(feature = "acme")]
impl Drop for Announced {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file); // somebody may have tidied up
    }
}

impl Cache {
    /// The part of the cache in `root` that is about the authority at `url`.
    pub(super) fn new(root: &Path, url: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        let name: String = url.trim_start_matches("https://").chars().map(plain).collect();
        Self { directory: root.join(name.trim_start_matches('.')) }
    }

    /// Makes the directory if it is not there yet.
    ///
    /// # Errors
    /// [`CacheError`] if it cannot be made or written to.
    pub(crate) fn prepare(&self) -> Result<(), CacheError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
        made.and_then(|()| self.open_lock()).map(drop).map_err(|source| self.error(&self.directory, source))
    }

    /// The file with the certificate for `domain`, its chain and its key: one file, so that they are replaced together.
    pub(crate) fn certificate(&self, domain: &str) -> PathBuf {
        self.directory.join(format!("{domain}.pem"))
    }

    /// From when until when the certificate for `domain` is good; `None` if there is none that can be used.
    #[cfg(feature = "acme")]
    pub(super) fn validity(&self, domain: &str) -> Option<Validity> {
        tls::validity(&self.certificate(domain))
    }

    /// Replaces a certificate.
    pub(super) fn store_certificate(&self, domain: &str, pem: &str) -> Result<(), CacheError> {
        self.replace(&self.certificate(domain), pem.as_bytes())
    }

    /// Who the authority knows us as, and the key to it.
    pub(super) fn account(&self) -> Result<Option<Vec<u8>>, CacheError> {
        match fs::read(self.account_file()) {
            Ok(account) => Ok(Some(account)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(&self.account_file(), error)),
        }
    }

    pub(super) fn store_account(&self, account: &[u8]) -> Result<(), CacheError> {
        self.replace(&self.account_file(), account)
    }

    /// The authority does not know us.
    pub(super) fn forget_account(&self) -> Result<(), CacheError> {
        fs::remove_file(self.account_file()).map_err(|source| self.error(&self.account_file(), source))
    }

    /// Tells the others that share this directory what the authority will look for, until what is returned is dropped.
    #[cfg(feature = "acme")]
    pub(super) fn announce(&self, question: &Question) -> Result<Announced, CacheError> {
        let file = self.question_file();
        self.replace(&file, &serde_json::to_vec(question).expect("a question is plain"))?;
        Ok(Announced { file })
    }

    /// What one of them has announced.
    #[cfg(feature = "acme")]
    pub(super) fn question(&self) -> Option<Question> {
        serde_json::from_slice(&fs::read(self.question_file()).ok()?).ok()
    }

    /// `None` if somebody else orders.
    pub(super) fn lock(&self) -> Result<Option<Lock>, CacheError> {
        let failed = |source| self.error(&self.lock_file(), source);
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

    fn open_lock(&self) -> io::Result<File> {
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.lock_file())
    }

    fn lock_file(&self) -> PathBuf {
        self.directory.join("lock")
    }

    fn question_file(&self) -> PathBuf {
        self.directory.join("pending.json")
    }

    fn account_file(&self) -> PathBuf {
        self.directory.join("account.json")
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
        write().map_err(|source| self.error(path, source))
    }

    fn error(&self, path: &Path, source: io::Error) -> CacheError {
        CacheError { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests;
