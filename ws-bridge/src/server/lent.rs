use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::oneshot;

/// A stream that goes back to its owner when the borrower drops it.
pub(super) struct Lent<S> {
    stream: Option<S>,
    owner: Option<oneshot::Sender<S>>,
}

impl<S> Lent<S> {
    pub(super) fn new(stream: S) -> (Self, oneshot::Receiver<S>) {
        let (owner, returned) = oneshot::channel();
        (Self { stream: Some(stream), owner: Some(owner) }, returned)
    }
}

impl<S: Stream + Unpin> Stream for Lent<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        match &mut self.stream {
            Some(stream) => Pin::new(stream).poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

impl<S> Unpin for Lent<S> {}

impl<S> Drop for Lent<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(owner)) = (self.stream.take(), self.owner.take()) {
            let _ = owner.send(stream); // an owner that is gone wants nothing back
        }
    }
}
