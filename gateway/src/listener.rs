use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

/// Connections that the kernel holds until we take them.
const BACKLOG: i32 = 1024;
/// Pause after a failure to accept, such as running out of descriptors: neither spin nor give up.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket whose connections come with the options that a proxy wants.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    /// For how long bytes may wait for a peer that takes none, before its connection is given up.
    user_timeout: Option<Duration>,
    name: &'static str,
}

impl Listener {
    /// Binds at once, so that a port in use is an error at start-up.
    pub(crate) fn bind(
        name: &'static str,
        addr: SocketAddr,
        user_timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: TcpListener::from_std(socket.into())?, user_timeout, name })
    }

    /// The address in use, with the port that the system chose if it was asked to.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection. Failures are logged and survived.
    ///
    /// # Cancel safety
    /// Safe: no connection is lost.
    pub(crate) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok((stream, peer)) => match self.configure(&stream) {
                    Ok(()) => return (stream, peer),
                    // The peer is gone already.
                    Err(error) => tracing::debug!(listener = self.name, %error, "connection lost"),
                },
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(listener = self.name, %error, "connection lost");
                }
                Err(error) => {
                    warn!(listener = self.name, %error, "cannot accept connections; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn configure(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        // The system counts a peer that lives and pauses as well, so this is not for browsers.
        self.user_timeout.map_or(Ok(()), |limit| SockRef::from(stream).set_tcp_user_timeout(Some(limit)))
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
