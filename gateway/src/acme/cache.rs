use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

#[cfg(feature = "acme")]
mod store;

#[cfg(feature = "acme")]
pub(super) use store::Announced;

/// What an authority has given, in files that only their owner reads. Each authority has a directory of its own, so that what
/// one of them gave for a trial is never taken for another's.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
}

/// What of the cache cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} for ACME; it must be in a directory that this user may write to", path.display())]
pub struct CacheError {
    path: PathBuf,
    source: io::Error,
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
        made.and_then(|()| self.open_lock()).map(drop).map_err(|source| error(&self.directory, source))
    }

    /// The file with the certificate for `domain`, its chain and its key: one file, so that they are replaced together.
    pub(crate) fn certificate(&self, domain: &str) -> PathBuf {
        self.directory.join(format!("{domain}.pem"))
    }

    fn open_lock(&self) -> io::Result<File> {
        OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(self.lock_file())
    }

    fn lock_file(&self) -> PathBuf {
        self.directory.join("lock")
    }
}

fn error(path: &Path, source: io::Error) -> CacheError {
    CacheError { path: path.to_owned(), source }
}

#[cfg(all(test, feature = "acme"))]
mod tests;
