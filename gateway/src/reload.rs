//! Follows files: in the token file who is added may connect, who is removed is cut off; in the configuration file the
//! tables about agents count at once; new connections are shown new certificates.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use cli::{Fingerprint, pem::PemError};
use session::{AUDIT, Acceptor, Authenticator, Credentials, Rechecks};
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::{
    PolicySource, TlsConfig, TokenFile, TokenFileError,
    edge::Edge,
    tls::Tls,
    tokens::{MasterKey, time},
};

/// How often the file is looked at. Looking works everywhere, also where a file system sends no change events and where
/// a mount swaps a link; it costs one `stat`.
const INTERVAL: Duration = Duration::from_millis(250);
/// The same for looks that somebody waits for who was not found right: so often strangers can have the file looked at.
const RECHECK_PAUSE: Duration = Duration::from_millis(50);
/// A file that is missing for less is being replaced.
const REPLACEMENT: Duration = Duration::from_secs(1);

/// Reads a token file and the master key, and remembers what the file looked like before: a change that comes in between
/// is seen later.
pub(crate) fn read(path: PathBuf, master: Option<&Path>) -> Result<(Credentials, Tokens), TokenFileError> {
    let master = master.map(MasterKey::load).transpose()?;
    let tokens = Tokens { file: Followed::new(path), master };
    Ok((tokens.credentials()?, tokens))
}

/// The token file, to be followed.
#[derive(Debug)]
pub(crate) struct Tokens {
    file: Followed,
    /// Read once: it may be taken away after the start.
    master: Option<MasterKey>,
}

impl Tokens {
    fn credentials(&self) -> Result<Credentials, TokenFileError> {
        let path = &self.file.path;
        TokenFile::load(path)?.credentials(self.master.as_ref(), path)
    }
}

/// Certificates and keys, to be followed.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) tls: Arc<Tls>,
    files: Vec<Followed>,
}

impl Certificates {
    /// Reads them, and remembers what their files looked like before.
    ///
    /// # Errors
    /// [`PemError`].
    pub(crate) fn read(config: TlsConfig, hosts: Vec<String>) -> Result<Self, PemError> {
        let files = config.files().into_iter().map(Followed::new).collect();
        Ok(Self { tls: Arc::new(Tls::read(config, hosts)?), files })
    }
}

/// A file, and how it looked when it was read last.
#[derive(Debug)]
pub(crate) struct Followed {
    path: PathBuf,
    last: Option<Fingerprint>,
    absence: Absence,
}

/// Since when a file has not been where it belongs.
#[derive(Debug, Default)]
struct Absence {
    since: Option<Instant>,
    is_told: bool,
}

impl Absence {
    /// Takes note of a look, and returns whether the file has been gone for so long that it is worth a line.
    fn is_news(&mut self, is_gone: bool, now: Instant) -> bool {
        if !is_gone {
            *self = Self::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_long = now.saturating_duration_since(since) >= REPLACEMENT;
        is_long && !std::mem::replace(&mut self.is_told, is_long)
    }
}

impl Followed {
    /// Remembers how a file looks that is about to be read.
    fn new(path: PathBuf) -> Self {
        Self { last: Fingerprint::of(&path).ok(), path, absence: Absence::default() }
    }

    /// Waits until the file looks otherwise.
    async fn changed(&mut self) {
        loop {
            sleep(INTERVAL).await;
            if self.has_changed() {
                return;
            }
        }
    }

    /// Whether the file looks otherwise than the last time. Says in the log once that it is gone.
    fn has_changed(&mut self) -> bool {
        let look = Fingerprint::of(&self.path);
        // What never was cannot go.
        if self.absence.is_news(look.is_err() && self.last.is_some(), link::now()) {
            warn!(file = %self.path.display(), "a file is gone; what was read of it stays valid until there is one again");
        }
        let Ok(now) = look else { return false };
        let changed = self.last.as_ref() != Some(&now);
        self.last = Some(now);
        changed
    }
}

/// Loads the file again whenever it changes, and closes sessions whose credential ends, for ever. A file that cannot be used
/// changes nothing. The file is looked at earlier when one of `rechecks` says so.
pub(crate) async fn follow(
    mut tokens: Tokens,
    authenticator: Arc<Authenticator>,
    acceptor: Acceptor,
    mut rechecks: Rechecks,
) {
    let mut next_end = authenticator.credentials().next_end(clock());
    loop {
        // The clock of the wall counts, which may be set: it is looked at together with the file, not waited for.
        let recheck = timeout(INTERVAL, rechecks.next()).await.ok();
        let changed = tokens.file.has_changed() && reload(&tokens, &authenticator);
        let clock = clock();
        if changed || next_end.is_some_and(|end| end <= clock) {
            acceptor.close_withdrawn(clock);
            next_end = authenticator.credentials().next_end(clock);
        }
        if let Some(recheck) = recheck {
            drop(recheck);
            sleep(RECHECK_PAUSE).await;
        }
    }
}

/// Whether there are new credentials now.
fn reload(tokens: &Tokens, authenticator: &Authenticator) -> bool {
    let credentials = match tokens.credentials() {
        Ok(credentials) => credentials,
        Err(error) => {
            error!(%error, "the token file changed but cannot be used; the old tokens stay valid");
            return false;
        }
    };
    info!(tokens = credentials.len(), "token file reloaded");
    for (token, what) in credentials.changes_since(&authenticator.credentials()) {
        info!(target: AUDIT, what, %token, "the token file says so");
    }
    authenticator.replace_credentials(credentials);
    true
}

fn clock() -> i64 {
    time::millis(SystemTime::now())
}

/// Reads certificates and keys again whenever one of their files changes, for ever. A certificate whose files cannot be
/// used, or do not belong together yet, stays as it is; the others change.
pub(crate) async fn follow_certificates(certificates: Certificates) {
    let Certificates { tls, mut files } = certificates;
    loop {
        sleep(INTERVAL).await;
        // All are looked at, so that what changes together is read once.
        if files.iter_mut().fold(false, |any, file| file.has_changed() | any) {
            let errors = tls.reload();
            for error in &errors {
                error!(%error, "a file of TLS changed but cannot be used; what it held before stays in use");
            }
            let kept = errors.len();
            info!(kept, "certificates reloaded; new connections see them");
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

#[cfg(test)]
mod tests;
