use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// How long a whole scenario may take: what is not there by then never comes.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two looks at something that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(5);

/// Waits for `future`, for as long as a scenario may take.
///
/// # Panics
/// If it is not done by then: a hang is a failure.
pub async fn within<F: Future>(future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_elapsed) => panic!("still waiting after {PATIENCE:?}"),
    }
}

/// Waits until `condition` holds. For what can only be looked at, such as a gauge.
///
/// # Panics
/// If it does not hold within a third of what a scenario may take.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE / 3;
    while !condition().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        sleep(LOOK).await;
    }
}
