use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// How often a connection that nobody reads is asked whether its client is still there.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A client's connection: on the left its bytes are the client's own, on the right they are what TLS makes of them.
pub(crate) type Socket = Either<TcpStream, Box<TlsStream<Rewound<TcpStream>>>>;

fn tcp(socket: &Socket) -> &TcpStream {
    match socket {
        Socket::Left(stream) => stream,
        Socket::Right(stream) => &stream.get_ref().0.socket,
    }
}

/// Whether an end must be announced: the end of the connection alone could be anybody's doing.
pub(crate) fn is_tls(socket: &Socket) -> bool {
    matches!(socket, Socket::Right(_))
}

/// Whether the client has closed its side. For a connection that is not read for want of credit: what was sent before
/// stands in front of the end, where no reader would find it.
pub(crate) fn has_left(socket: &Socket) -> bool {
    let mut fds = [PollFd::new(tcp(socket), PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0) && fds[0].revents().intersects(gone)
}

/// Has the peer see an error instead of an end.
pub(crate) fn reset_on_drop(socket: &Socket) {
    // Failing means that the connection is gone already.
    let _ = SockRef::from(tcp(socket)).set_linger(Some(Duration::ZERO));
}

/// A connection of which some bytes were read already.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    read: Bytes,
    socket: S,
}

impl<S> Rewound<S> {
    pub(crate) fn new(read: Bytes, socket: S) -> Self {
        Self { read, socket }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buf);
        }
        let length = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..length]);
        self.read.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    link::writes_go_to!(socket);
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (TcpStream, Socket) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, Socket::Left(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn a_client_that_left_is_noticed_behind_bytes_that_nobody_reads() {
        let (mut near, socket) = pair().await;
        near.write_all(b"unread").await.unwrap();
        assert!(!has_left(&socket));
        drop(near);
        while !has_left(&socket) {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_was_read_is_read_again() {
        let (mut near, socket) = pair().await;
        near.write_all(b"def").await.unwrap();
        drop(near);
        let mut text = String::new();
        Rewound::new(Bytes::from_static(b"abc"), socket).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "abcdef");
    }
}
