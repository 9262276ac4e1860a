//! Memory that nobody needs any more.

use std::{hint::black_box, time::Duration};

use tokio::time::sleep;

/// What is free is kept for a second, lest it be asked for again; looking for it more often than now and then gains nothing.
const INTERVAL: Duration = Duration::from_secs(10);
/// So large that it is pages of its own. Nothing is written to it, so that it is no memory at all.
const BLOCK: usize = 1024 * 1024;

/// Has what is free given back to the system, for ever. mimalloc looks for that only while it takes and gives whole pages, which
/// a program at rest does not: without this, it keeps what its busiest moment needed.
///
/// # Cancel safety
/// Safe.
pub(crate) async fn give_back() {
    loop {
        sleep(INTERVAL).await;
        drop(black_box(Vec::<u8>::with_capacity(BLOCK)));
    }
}
