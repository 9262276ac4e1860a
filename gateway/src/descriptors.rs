//! How many connections the system lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Raises the limit on open files to what the system allows at most.
pub(crate) fn raise() {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        info!(limit = before.current, "limit on open files");
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }) {
        Ok(()) => info!(before = before.current, limit = before.maximum, "limit on open files raised"),
        Err(error) => warn!(%error, limit = before.current, "the limit on open files cannot be raised"),
    }
}

/// As many clients' connections as were asked for, as long as a quarter of what may be open is left to agents.
pub(crate) fn share(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let most = limit.map_or(usize::MAX, |limit| limit / 4 * 3);
    if most < wanted {
        info!(wanted, connections = most, "fewer clients' connections, for there are not more open files");
    }
    wanted.min(most)
}
