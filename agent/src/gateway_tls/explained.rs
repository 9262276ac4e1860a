use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::trust::{Peer, explain};

/// A stream that remembers why TLS ended. The libraries above keep no more of it than a text.
#[derive(Debug)]
pub(crate) struct Explained<S> {
    stream: S,
    peer: Peer,
    explanation: Arc<OnceLock<String>>,
}

impl<S> Explained<S> {
    /// The stream to `peer`, and where its explanation will be.
    pub(crate) fn new(stream: S, peer: Peer) -> (Self, Arc<OnceLock<String>>) {
        let explanation = Arc::new(OnceLock::new());
        (Self { stream, peer, explanation: Arc::clone(&explanation) }, explanation)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        if let Err(error) = &read
            && let Some(explanation) = explain(error, &self.peer)
        {
            // The first one is the reason of all others.
            let _ = self.explanation.set(explanation);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    link::writes_go_to!(stream);
}
