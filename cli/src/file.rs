use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use crate::Layer;

/// The settings `S` of a command as flags and environment variables, with the file that lies below them.
///
/// `S` derives both [`clap::Args`] and [`serde::Deserialize`], so that a flag `--idle-timeout`, its variable and the
/// TOML key `idle_timeout` cannot drift apart.
#[derive(Clone, Debug, clap::Args)]
pub struct Layers<S: clap::Args> {
    /// TOML file with settings, named like the flags with underscores.
    /// Without it $XDG_CONFIG_HOME/indranet and /etc/indranet are searched.
    #[arg(long, env = "INDRANET_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What flags and environment variables say.
    #[command(flatten)]
    pub settings: S,
}

/// The settings of a command, all layers merged, before defaults.
#[derive(Clone, Debug)]
pub struct Resolved<S> {
    /// The merged settings.
    pub settings: S,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
}

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not TOML, or not ours. The line itself is not repeated.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Counted in characters from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
}

impl<S: clap::Args + Layer + DeserializeOwned> Layers<S> {
    /// Reads the file, if there is one, and puts flags and environment on top of it.
    ///
    /// A file named by `--config` or `INDRANET_CONFIG` must exist. Without one, `NAME.toml` is taken from the first of
    /// `$XDG_CONFIG_HOME/indranet` and `/etc/indranet` that has it.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read or understood.
    pub fn resolve(self, name: &str) -> Result<Resolved<S>, FileError> {
        let found = match self.config {
            Some(path) => Some((read(&path)?, path)),
            None => search(usual_places(name))?,
        };
        let Some((text, path)) = found else {
            return Ok(Resolved { settings: self.settings, file: None });
        };
        let below = parse(&text, &path)?;
        Ok(Resolved { settings: self.settings.over(below), file: Some(path) })
    }
}

fn usual_places(name: &str) -> impl Iterator<Item = PathBuf> {
    let absolute =
        |variable: &str| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let personal = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    let file = format!("indranet/{name}.toml");
    personal.into_iter().chain([PathBuf::from("/etc")]).map(move |directory| directory.join(&file))
}

fn search(places: impl Iterator<Item = PathBuf>) -> Result<Option<(String, PathBuf)>, FileError> {
    for path in places {
        match read(&path) {
            Ok(text) => return Ok(Some((text, path))),
            Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<String, FileError> {
    fs::read_to_string(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

fn parse<S: DeserializeOwned>(text: &str, path: &Path) -> Result<S, FileError> {
    toml::from_str(text).map_err(|error| {
        let before = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        FileError::Parse {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: error.message().to_owned(),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        port: Option<u16>,
    }

    fn error(text: &str) -> String {
        parse::<Settings>(text, Path::new("agent.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let text = "# ours\nport = 1\n  prot = 2\n";
        assert_eq!(error(text), "agent.toml:3:3: unknown field `prot`, expected `port`");
    }

    #[test]
    fn a_broken_line_is_not_repeated() {
        let text = "port = 1\ntoken = itk_secret\n";
        let error = error(text);
        assert!(error.starts_with("agent.toml:2:"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn a_good_file_is_read() {
        assert_eq!(parse::<Settings>("port = 1", Path::new("agent.toml")).unwrap().port, Some(1));
    }
}
