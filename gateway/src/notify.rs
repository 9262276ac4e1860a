//! What systemd is told, if it asked (`Type=notify`).

use sd_notify::NotifyState;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

/// The gateway takes requests. As long as what is returned lives, a watchdog that was asked for is told that we do.
pub(crate) fn ready() -> Option<AbortOnDropHandle<()>> {
    tell(&[NotifyState::Ready, NotifyState::Status("takes requests")]);
    let patience = sd_notify::watchdog_enabled()?;
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(patience / 3);
        loop {
            ticks.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    })))
}

/// The gateway takes no new requests.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("lets requests in progress end")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "the service manager cannot be told");
    }
}
