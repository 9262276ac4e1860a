//! Writing to stdout, where a reader that closed the pipe is no error.

use std::{
    io::{self, Write as _},
    path::Path,
};

use serde::Serialize;

use crate::Failure;

/// Writes `bytes` to stdout. A reader that has closed the pipe has seen enough, and that is success.
///
/// # Errors
/// Whatever else the system says, e.g. that the disk behind stdout is full.
pub fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes one line to stdout, see [`write()`].
///
/// # Errors
/// Those of [`write()`].
pub fn line(text: &str) -> io::Result<()> {
    write(format!("{text}\n").as_bytes())
}

/// Settings as a TOML file that would give the same settings.
///
/// # Errors
/// Those of the TOML writer, for a struct that is no table of plain values.
pub fn settings(settings: &impl Serialize) -> Result<String, toml::ser::Error> {
    toml::to_string(settings)
}

/// Writes to stdout that settings are good, and all of them as a TOML file. `file` is the one that some of them are from.
///
/// # Errors
/// Those of [`settings()`] and [`write()`].
pub fn verdict(settings: &impl Serialize, file: Option<&Path>) -> Result<(), Failure> {
    let toml = self::settings(settings).map_err(Failure::runtime)?;
    let origin = file.map_or("no file".to_owned(), |file| file.display().to_string());
    write(format!("# configuration ok\n\n# from flags, environment and {origin}\n{toml}").as_bytes())
        .map_err(Failure::runtime)
}
