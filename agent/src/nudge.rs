use tokio::sync::watch;

/// Tells an agent that the world may have changed: links are asked at once whether they still work, and attempts that
/// wait for their time are made now. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Nudge(watch::Sender<()>);

impl Nudge {
    /// Tells it.
    pub fn nudge(&self) {
        self.0.send_replace(());
    }

    /// Hears of what is told from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Waits for the next nudge; for ever if nobody can give one any more.
///
/// # Cancel safety
/// Safe.
pub(crate) async fn nudged(nudges: &mut watch::Receiver<()>) {
    if nudges.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}
