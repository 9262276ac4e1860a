use std::time::Duration;

use cli::audit::AuditFile;
use tokio::time::sleep;
use tracing::error;

/// How often it is looked whether lines were lost.
const LOOK: Duration = Duration::from_secs(1);
/// How often the log says so.
const PAUSE: Duration = Duration::from_secs(60);

/// Says in the log that the audit log loses lines, for ever. Not where that is noticed: a line that is written in the middle
/// of another one's being written goes astray.
///
/// # Cancel safety
/// Safe.
pub(crate) async fn watch(audit: AuditFile) {
    loop {
        sleep(LOOK).await;
        let Some(error) = audit.take_error() else { continue };
        error!(error = %error.cause(), lines_lost = audit.lines_lost(), "{error}; it loses lines");
        sleep(PAUSE).await;
    }
}
