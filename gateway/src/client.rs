use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// How often a connection that nobody reads is asked whether its client is still there.
const INTERVAL: Duration = Duration::from_millis(250);

/// The other end of a public connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) addr: SocketAddr,
    stream: Shared,
}

/// The connection itself, for its one reader and writer.
#[derive(Debug)]
pub(crate) struct ClientSocket {
    stream: Shared,
}

/// The lock is never contended but by a look every quarter of a second.
type Shared = Arc<Mutex<TcpStream>>;

impl Client {
    /// A connection and a handle to it.
    pub(crate) fn new(stream: TcpStream, addr: SocketAddr) -> (Self, ClientSocket) {
        let stream = Arc::new(Mutex::new(stream));
        (Self { addr, stream: Arc::clone(&stream) }, ClientSocket { stream })
    }

    /// Completes once the client has closed its side. For a connection that is not read for want of credit: what was
    /// sent before stands in front of the end, where no reader would find it.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn left(&self) {
        while !self.has_left() {
            tokio::time::sleep(INTERVAL).await;
        }
    }

    fn has_left(&self) -> bool {
        let stream = lock(&self.stream);
        let mut fds = [PollFd::new(&*stream, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) && fds[0].revents().intersects(gone)
    }
}

fn lock(stream: &Shared) -> MutexGuard<'_, TcpStream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for ClientSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.stream)).poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.stream)).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.stream)).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true // a TCP stream is
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.stream)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.stream)).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;

    async fn pair() -> (TcpStream, Client, ClientSocket) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, addr) = listener.accept().await.unwrap();
        let (client, socket) = Client::new(stream, addr);
        (near, client, socket)
    }

    #[tokio::test]
    async fn a_client_that_left_is_noticed_behind_bytes_that_nobody_reads() {
        let (mut near, client, _socket) = pair().await;
        near.write_all(b"unread").await.unwrap();
        assert!(!client.has_left());
        drop(near);
        client.left().await;
    }
}
