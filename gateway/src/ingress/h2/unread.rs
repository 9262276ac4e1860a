//! What nobody needs of a request body.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long a client that still sends has to see its answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much of it is read meanwhile. What the window allows beyond that is kept, and no more is granted.
const MOST: usize = 64 * 1024;

/// Holds a body that is not needed until its end has come, the client leaves, or it has had time to see that it was answered.
///
/// A dropped body resets its stream without an error, and a client should mind the answer nevertheless (RFC 9113, section
/// 8.1). Widespread ones lose it if they notice the reset while they send.
pub(super) async fn linger(mut body: Incoming) {
    let deadline = Instant::now() + PATIENCE;
    let mut left = MOST;
    while !body.is_end_stream() {
        if left == 0 {
            return sleep_until(deadline).await;
        }
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else { return };
        left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len()));
    }
}
