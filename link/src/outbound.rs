use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use proto::Frame;

use crate::{CloseReason, clock::now, handles::Shared};

/// The frames that a transport writes, in the order in which they shall leave. Ends once the link is closed and what was
/// queued has been taken. Dropping it closes the link: nothing can leave any more.
///
/// A transport takes frames for as long as they are ready and flushes once: that is what makes a link cheap.
pub struct Outbound<F: Frame, H> {
    shared: Arc<Shared<F, H>>,
}

impl<F: Frame, H> Outbound<F, H> {
    pub(crate) fn new(shared: Arc<Shared<F, H>>) -> Self {
        Self { shared }
    }

    /// Why the link was closed; [`CloseReason::Gone`] while it is open.
    pub fn close_reason(&self) -> CloseReason {
        self.shared.table().close_reason().cloned().unwrap_or(CloseReason::Gone)
    }
}

impl<F: Frame, H> Stream for Outbound<F, H> {
    type Item = F;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F>> {
        let mut table = self.shared.table();
        if let Some(frame) = table.next_frame(now()) {
            return Poll::Ready(Some(frame));
        }
        match table.poll_closed(cx) {
            Some(_) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<F: Frame, H> Drop for Outbound<F, H> {
    fn drop(&mut self) {
        self.shared.close(CloseReason::Gone);
    }
}

impl<F: Frame, H> fmt::Debug for Outbound<F, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}
