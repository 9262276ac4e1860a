use std::time::Instant;

/// The time of this moment. It stands still where a test has paused tokio's clock, and is the system's monotonic clock
/// everywhere else.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
