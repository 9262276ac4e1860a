//! What is made from files, and made again once they look otherwise.

use std::{
    fmt::Display,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use cli::Fingerprint;
use tracing::{info, warn};

/// The value of some files, as they could be used last. Looking costs one `stat` for each of them.
#[derive(Debug)]
pub(crate) struct Reloading<T> {
    files: Vec<PathBuf>,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    value: Arc<T>,
    /// How the files looked before they were read last, whether or not they could be used.
    looks: Vec<Option<Fingerprint>>,
}

impl<T> Reloading<T> {
    /// The value that `read` makes of `files`.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn new<E>(files: Vec<PathBuf>, read: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        // Before it is read: a change that comes in between is seen later.
        let looks = looks(&files);
        let value = Arc::new(read()?);
        Ok(Self { files, state: Mutex::new(State { value, looks }) })
    }

    /// The value of the files as they are now, or the last one if they cannot be used, which is said once.
    pub(crate) fn current<E: Display>(&self, read: impl FnOnce() -> Result<T, E>) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = looks(&self.files);
        if looks != state.looks {
            state.looks = looks;
            match read() {
                Ok(value) => {
                    state.value = Arc::new(value);
                    info!(files = ?self.files, "files for TLS have changed and were read again");
                }
                Err(error) => {
                    warn!(%error, "files for TLS have changed and cannot be used; what was read before counts on")
                }
            }
        }
        Arc::clone(&state.value)
    }
}

fn looks(files: &[PathBuf]) -> Vec<Option<Fingerprint>> {
    files.iter().map(|file| Fingerprint::of(file).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs};

    use super::*;

    #[test]
    fn files_are_read_again_once_they_look_otherwise_and_the_last_good_value_stays() {
        let path = std::env::temp_dir().join(format!("indranet-reloading-{}", uuid::Uuid::new_v4()));
        let reads = Cell::new(0);
        let read = || {
            reads.set(reads.get() + 1);
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            text.parse::<u32>().map_err(|error| error.to_string())
        };
        fs::write(&path, "1").unwrap();
        let reloading = Reloading::new(vec![path.clone()], read).unwrap();
        for (text, value, count) in [
            (Some("1"), 1, 1),
            (Some("22"), 22, 2),
            (Some("wrong"), 22, 3),
            (None, 22, 4),
            (Some("333"), 333, 5),
        ] {
            match text {
                // Written again it has another time, which is no change that this test is about.
                Some("1") => {}
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            for _ in 0..3 {
                assert_eq!((*reloading.current(read), reads.get()), (value, count), "{text:?}");
            }
        }
        // Another file that is as large and as old.
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        let other = path.with_extension("other");
        fs::write(&other, "444").unwrap();
        fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(&other, &path).unwrap();
        assert_eq!(*reloading.current(read), 444);
        fs::remove_file(&path).unwrap();
    }
}
