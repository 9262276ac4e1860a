//! Follows files: in the token file who is added may connect, who is removed is cut off; in the configuration file the tables
//! about agents count at once; new connections are shown new certificates.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use session::{Acceptor, Authenticator, Credentials, Grant};
use tracing::{error, info};

use crate::{PolicySource, TokenFile, TokenFileError, edge::Edge, tls::Tls};

/// How often the file is looked at. Looking works everywhere, also where a file system sends no change events and where
/// a mount swaps a link; it costs one `stat`.
const INTERVAL: Duration = Duration::from_millis(250);

/// Reads a token file, and remembers what it looked like before: a change that comes in between is seen later.
pub(crate) fn read(path: PathBuf) -> Result<(Credentials, Followed), TokenFileError> {
    let file = Followed::new(path);
    Ok((credentials(&file.path)?, file))
}

/// A file, and how it looked when it was read last.
#[derive(Debug)]
pub(crate) struct Followed {
    path: PathBuf,
    last: Option<Fingerprint>,
}

impl Followed {
    /// Remembers how a file looks that is about to be read.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { last: Fingerprint::of(&path).ok(), path }
    }

    /// Waits until the file looks otherwise.
    async fn changed(&mut self) {
        any_changed(std::slice::from_mut(self)).await;
    }

    /// Whether the file looks otherwise than it did at the last look.
    fn look(&mut self) -> bool {
        // A file that is missing for a moment is being replaced.
        let Ok(now) = Fingerprint::of(&self.path) else { return false };
        let changed = self.last.as_ref() != Some(&now);
        self.last = Some(now);
        changed
    }
}

/// Waits until one of several files looks otherwise.
async fn any_changed(files: &mut [Followed]) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let changed = files.iter_mut().filter_map(|file| file.look().then_some(())).count();
        if changed > 0 {
            return;
        }
    }
}

/// Reads certificates and keys again whenever one of their files changes, for ever. Files that cannot be used, or do not belong
/// together yet, change nothing.
pub(crate) async fn follow_certificates(mut files: Vec<Followed>, tls: Arc<Tls>) {
    loop {
        any_changed(&mut files).await;
        match tls.reload() {
            Ok(()) => info!("certificates reloaded; new connections see them"),
            Err(error) => {
                error!(%error, "a file of TLS changed but cannot be used; the old ones stay in use")
            }
        }
    }
}

fn credentials(path: &Path) -> Result<Credentials, TokenFileError> {
    let entries = TokenFile::load(path)?.entries;
    Ok(entries
        .into_iter()
        .map(|entry| (entry.id, Grant { secret: entry.secret, agent_ids: entry.agent_ids }))
        .collect())
}

/// Loads the file again whenever it changes, for ever. A file that cannot be used changes nothing.
pub(crate) async fn follow(mut file: Followed, authenticator: Arc<Authenticator>, acceptor: Acceptor) {
    loop {
        file.changed().await;
        match credentials(&file.path) {
            Ok(credentials) => {
                info!(tokens = credentials.len(), "token file reloaded");
                let before = authenticator.credentials();
                authenticator.replace_credentials(credentials);
                acceptor.close_revoked(&before);
            }
            Err(error) => {
                error!(%error, "the token file changed but cannot be used; the old tokens stay valid")
            }
        }
    }
}

/// Loads the policies again whenever their file changes, for ever. A file that cannot be used changes nothing.
pub(crate) async fn follow_policies(source: PolicySource, edge: Arc<Edge>) {
    let PolicySource { path, read } = source;
    let mut file = Followed::new(path);
    // The file may have changed since the gateway was started with it.
    if let Ok(policies) = read() {
        edge.replace(&policies);
    }
    loop {
        file.changed().await;
        match read() {
            Ok(policies) => {
                info!(file = %file.path.display(), "policies of agents loaded; other settings count after a restart");
                edge.replace(&policies);
            }
            Err(error) => {
                error!(
                    error = format_args!("{error:#}"),
                    "the configuration file changed but cannot be used; the old policies stay valid"
                );
            }
        }
    }
}

/// What changes when a file does, whether it is written in place or replaced.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}
