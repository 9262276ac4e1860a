//! A file that events of one target are appended to, a line of JSON each.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing_subscriber::fmt::MakeWriter;

/// Events with this target go to the audit log, whatever the level of the other log is.
pub const TARGET: &str = "audit";

/// An audit log that is open. When its file was moved or removed, the next line begins a new one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
    losses: Arc<Losses>,
}

/// What could not be written.
#[derive(Debug, Default)]
struct Losses {
    lines: AtomicU64,
    last: Mutex<Option<io::Error>>,
}

/// The audit log cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the audit log {}", path.display())]
pub struct AuditFileError {
    path: PathBuf,
    source: io::Error,
}

impl AuditFileError {
    /// What the system says.
    pub fn cause(&self) -> &io::Error {
        &self.source
    }
}

impl AuditFile {
    /// Opens the file at `path` to append to it, and makes it for its owner only if there is none.
    ///
    /// # Errors
    /// [`AuditFileError`] if that is not possible.
    pub fn open(path: PathBuf) -> Result<Self, AuditFileError> {
        match append(&path) {
            Ok(file) => Ok(Self { path, file: Arc::new(Mutex::new(file)), losses: Arc::default() }),
            Err(source) => Err(AuditFileError { path, source }),
        }
    }

    /// Finds out whether that would be possible, as far as it can be known without making the file.
    ///
    /// # Errors
    /// [`AuditFileError`].
    pub fn check(path: &Path) -> Result<(), AuditFileError> {
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let found = match OpenOptions::new().append(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::read_dir(directory.unwrap_or(Path::new("."))).map(drop)
            }
            opened => opened.map(drop),
        };
        found.map_err(|source| AuditFileError { path: path.to_owned(), source })
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

    /// How many lines could not be written since it was opened.
    pub fn lines_lost(&self) -> u64 {
        self.losses.lines.load(Relaxed)
    }

    /// Why the last line that was lost could not be written; `None` if there is none since the last call.
    pub fn take_error(&self) -> Option<AuditFileError> {
        let source = self.losses.last.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(AuditFileError { path: self.path.clone(), source })
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut file = self.lock();
        let open = file.metadata()?;
        let there = fs::metadata(&self.path);
        if !there.is_ok_and(|there| (there.dev(), there.ino()) == (open.dev(), open.ino())) {
            // Where no new file can be made, the line is not lost: it follows the old one.
            if let Ok(new) = append(&self.path) {
                *file = new;
            }
        }
        file.write_all(line)
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
        // Who logs does not look at what becomes of it, and would say on stderr for each line that it failed.
        if let Err(error) = self.0.append(line) {
            self.0.losses.lines.fetch_add(1, Relaxed);
            *self.0.losses.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
