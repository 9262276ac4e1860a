//! Follows the token file: who is added may connect, who is removed is cut off.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use session::{Acceptor, Authenticator, Credentials, Grant};
use tracing::{error, info};

use crate::{TokenFile, TokenFileError};

/// How often the file is looked at. Looking works everywhere, also where a file system sends no change events and where
/// a mount swaps a link; it costs one `stat`.
const INTERVAL: Duration = Duration::from_millis(250);

/// Reads a token file, and remembers what it looked like before: a change that comes in between is seen later.
pub(crate) fn read(path: PathBuf) -> Result<(Credentials, Followed), TokenFileError> {
    let last = Fingerprint::of(&path).ok();
    Ok((credentials(&path)?, Followed { path, last }))
}

/// A token file, and how it looked when it was read last.
#[derive(Debug)]
pub(crate) struct Followed {
    path: PathBuf,
    last: Option<Fingerprint>,
}

fn credentials(path: &Path) -> Result<Credentials, TokenFileError> {
    let entries = TokenFile::load(path)?.entries;
    Ok(entries
        .into_iter()
        .map(|entry| (entry.id, Grant { secret: entry.secret, agent_ids: entry.agent_ids }))
        .collect())
}

/// Loads the file again whenever it changes, for ever. A file that cannot be used changes nothing.
pub(crate) async fn follow(file: Followed, authenticator: Arc<Authenticator>, acceptor: Acceptor) {
    let Followed { path, mut last } = file;
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // A file that is missing for a moment is being replaced.
        let Ok(now) = Fingerprint::of(&path) else { continue };
        if last.as_ref() == Some(&now) {
            continue;
        }
        last = Some(now);
        match credentials(&path) {
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
