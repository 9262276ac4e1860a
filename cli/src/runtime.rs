use tokio::runtime::Builder;

use crate::{Failure, memory};

/// Runs `command` on this thread. What still runs when it has ended is not waited for: what was given up after a grace
/// period, or a look-up of a name that nobody needs any more.
///
/// # Errors
/// Those of `command`, and what the system says if it gives no reactor.
pub fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::runtime)?;
    runtime.spawn(memory::give_back());
    let result = runtime.block_on(command);
    runtime.shutdown_background();
    result
}
