//! The Unix sockets on which agents answer, in a directory that only their owner may enter.

use std::{
    fs::{self, DirBuilder},
    io::{self, Read as _},
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{io::AsyncWriteExt as _, net::UnixListener, time::timeout};

use super::{Source, Status};

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest document that is read.
const MAX_DOCUMENT: u64 = 1024 * 1024;
/// Pause after the system gave no connection, as when it has run out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Why agents cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SocketError {
    /// The directory is not ours alone.
    #[error("{0} belongs to somebody else or is open to others; remove it, or make it yours with mode 0700")]
    Foreign(PathBuf),
    /// The directory cannot be made or read.
    #[error("cannot use the directory {path}: {source}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("cannot make the socket {path}: {source}", path = path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A socket on which an agent answers. Dropping it removes it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket of an agent. What agents left behind that are dead is removed.
    ///
    /// # Errors
    /// [`SocketError`]; the agent can do without.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(agent_id: &str) -> Result<Self, SocketError> {
        Self::bind_in(&directory(), agent_id)
    }

    fn bind_in(directory: &Path, agent_id: &str) -> Result<Self, SocketError> {
        let made = DirBuilder::new().mode(0o700).create(directory);
        if let Err(source) = made
            && source.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(SocketError::Directory { path: directory.to_owned(), source });
        }
        for stale in sockets(directory)?.iter().filter(|path| is_stale(path)) {
            // Another agent may just have done the same.
            let _ = fs::remove_file(stale);
        }
        let path = directory.join(format!("agent-{agent_id}-{}.sock", std::process::id()));
        let listener =
            UnixListener::bind(&path).map_err(|source| SocketError::Bind { path: path.clone(), source })?;
        Ok(Self { listener, path })
    }

    /// Answers whoever asks, one after the other, with a document each. Never ends.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn serve(&self, source: Source) {
        loop {
            let Ok((mut stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let document = serde_json::to_vec(&source.status()).expect("plain values have a form in JSON");
            let answer = async {
                stream.write_all(&document).await?;
                stream.shutdown().await
            };
            // Who does not read has asked in vain.
            let _ = timeout(PATIENCE, answer).await;
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Asks every agent of this user.
///
/// # Errors
/// [`SocketError`]. Agents that have ended or do not answer are left out; no directory is no agent.
pub fn ask_all() -> Result<Vec<Status>, SocketError> {
    ask_all_in(&directory())
}

fn ask_all_in(directory: &Path) -> Result<Vec<Status>, SocketError> {
    let mut all: Vec<Status> = sockets(directory)?.iter().filter_map(|path| ask(path)).collect();
    all.sort_by(|one, other| (&one.id, one.pid).cmp(&(&other.id, other.pid)));
    Ok(all)
}

fn ask(path: &Path) -> Option<Status> {
    let stream = UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut document = Vec::new();
    stream.take(MAX_DOCUMENT).read_to_end(&mut document).ok()?;
    serde_json::from_slice(&document).ok()
}

/// The sockets in a directory, once that is known to be ours alone.
fn sockets(directory: &Path) -> Result<Vec<PathBuf>, SocketError> {
    let failed = |source| SocketError::Directory { path: directory.to_owned(), source };
    // Not through a link: it could lead anywhere tomorrow.
    let found = match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(failed)?,
    };
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if !ours || found.mode() & 0o077 != 0 {
        return Err(SocketError::Foreign(directory.to_owned()));
    }
    let entries = fs::read_dir(directory).map_err(failed)?;
    let is_socket = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("agent-") && name.ends_with(".sock"))
    };
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_socket).collect())
}

/// Whether nobody listens any more.
fn is_stale(path: &Path) -> bool {
    UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Where the agents of this user have their sockets.
fn directory() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|path| Path::new(path).is_absolute()) {
        Some(path) => Path::new(&path).join("indranet"),
        None => {
            let uid = rustix::process::geteuid().as_raw();
            std::env::temp_dir().join(format!("indranet-{uid}"))
        }
    }
}

#[cfg(test)]
mod tests;
