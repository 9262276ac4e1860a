//! Connections on the agents' ports, as long as nobody knows who is there.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use session::{Lobby, Visitor};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    census::Census,
    connections::{Connection, run},
};

/// What is read of a connection before an agent was accepted on it. The windows of HTTP/2 are those of a link from the
/// first frame on, and could not be made wider later; this is what a stranger has of them.
const RATION: usize = 64 * 1024;
/// For the last words to somebody who must go.
const FAREWELL: Duration = Duration::from_millis(400);

/// Serves a connection from which an agent is expected, once `handshake` has given its stream. If there is no room for it,
/// or no agent is accepted in time, it is closed. Whether there is room is decided at once, so that whoever comes first is
/// served.
///
/// # Cancel safety
/// Dropping the future closes the connection.
pub(crate) fn serve<S, C: Connection>(
    lobby: Lobby,
    census: Arc<Census>,
    peer: SocketAddr,
    pause: CancellationToken,
    handshake: impl Future<Output = Option<S>>,
    connection: impl FnOnce(S, Visitor) -> C,
) -> impl Future<Output = ()> {
    let visitor = lobby.enter(peer.ip());
    if visitor.is_none() {
        census.refuse("unauthenticated");
    }
    async move {
        match visitor {
            Some(visitor) => run_for(visitor, &lobby, peer, pause, handshake, connection).await,
            None => debug!(%peer, "too many connections without an agent"),
        }
    }
}

async fn run_for<S, C: Connection>(
    visitor: Visitor,
    lobby: &Lobby,
    peer: SocketAddr,
    pause: CancellationToken,
    handshake: impl Future<Output = Option<S>>,
    connection: impl FnOnce(S, Visitor) -> C,
) {
    let pause = pause.child_token();
    let mut overdue = pin!(lobby.overdue(&visitor));
    let stream = tokio::select! {
        stream = handshake => stream,
        () = overdue.as_mut() => None,
        () = pause.cancelled() => None,
    };
    let Some(stream) = stream else { return };
    // Most links are idle most of the time: what each holds is memory, and a box costs nothing but here.
    let mut served = pin!(run(Box::pin(connection(stream, visitor.clone())), peer, pause.clone()));
    tokio::select! {
        () = served.as_mut() => return,
        () = overdue => {}
    }
    debug!(%peer, "no agent was accepted on this connection");
    pause.cancel();
    if timeout(FAREWELL, served.as_mut()).await.is_err() && visitor.is_accepted() {
        served.await; // at the last moment
    }
}

/// A stream that gives out no more than a ration, until an agent was accepted.
#[derive(Debug)]
pub(crate) struct Rationed<S> {
    stream: S,
    visitor: Visitor,
    /// Bytes that may still be read; `None` is without limit.
    ration: Option<usize>,
}

impl<S> Rationed<S> {
    pub(crate) fn new(stream: S, visitor: Visitor) -> Self {
        Self { stream, visitor, ration: Some(RATION) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rationed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let Some(ration) = self.ration else { return Poll::Ready(Ok(())) };
        self.ration = match ration.checked_sub(buf.filled().len() - before) {
            _ if self.visitor.is_accepted() => None,
            Some(ration) => Some(ration),
            None => return Poll::Ready(Err(io::Error::other("too much from somebody whom nobody knows"))),
        };
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rationed<S> {
    link::writes_go_to!(stream);
}
