//! Follows files: in the token file who is added may connect, who is removed is cut off; in the configuration file the tables
//! about agents count at once.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use session::{Acceptor, Authenticator, Credentials, Grant};
use tracing::{error, info};

use crate::{PolicySource, TokenFile, TokenFileError, edge::Edge};

/// How often the file is looked at. Looking works everywhere, also where a file system sends no change events and where
/// a mount swaps a link; it costs one `stat`.
const INTERVAL: Duration = Duration::from_millis(250);

/// Reads a token file, and remembers what it looked like before: a change that comes in between is seen later.
pub(crate) fn read(path: PathBuf) -> Result<(Credentials, Followed), TokenFileError> {
    let last = Fingerprint::of(&path).ok();
    Ok((credentials(&path)?, Followed { path, last }))
}

/// A file, and how it looked when it was read last.
#[derive(Debug)]
pub(crate) struct Followed {
    path: PathBuf,
    last: Option<Fingerprint>,
}

impl Followed {
    /// Waits until the file looks otherwise.
    async fn changed(&mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            // A file that is missing for a moment is being replaced.
            let Ok(now) = Fingerprint::of(&self.path) else { continue };
            if self.last.as_ref() != Some(&now) {
                self.last = Some(now);
                return;
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
    let mut file = Followed { last: Fingerprint::of(&path).ok(), path };
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
