//! A file that events of one target are appended to, a line of JSON each.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

/// Events with this target go to the audit log, whatever the level of the other log is.
pub const TARGET: &str = "audit";

/// An audit log that is open. When its file was moved or removed, the next line begins a new one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

/// The audit log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the audit log {}", path.display())]
pub struct AuditFileError {
    path: PathBuf,
    source: io::Error,
}

impl AuditFile {
    /// Opens the file at `path` to append to it, and makes it for its owner only if there is none.
    ///
    /// # Errors
    /// [`AuditFileError`] if that is not possible.
    pub fn open(path: PathBuf) -> Result<Self, AuditFileError> {
        match append(&path) {
            Ok(file) => Ok(Self { path, file: Arc::new(Mutex::new(file)) }),
            Err(source) => Err(AuditFileError { path, source }),
        }
    }

    /// Goes on in the file that is at the path now, which is made if there is none.
    ///
    /// # Errors
    /// [`AuditFileError`]; the old file is written to as before.
    pub fn reopen(&self) -> Result<(), AuditFileError> {
        let file = append(&self.path).map_err(|source| AuditFileError { path: self.path.clone(), source })?;
        *self.lock() = file;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Writes one line.
#[derive(Debug)]
pub struct Line<'a>(&'a AuditFile);

impl<'a> MakeWriter<'a> for AuditFile {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = self.0.lock();
        let open = file.metadata()?;
        let there = fs::metadata(&self.0.path);
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino())) {
            // Where no new file can be made, the line is not lost: it follows the old one.
            if let Ok(new) = append(&self.0.path) {
                *file = new;
            }
        }
        file.write_all(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
