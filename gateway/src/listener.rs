use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
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
    name: &'static str,
}

impl Listener {
    /// Binds at once, so that a port in use is an error at start-up. `user_timeout` is for how long bytes may wait for a
    /// peer that takes none, before its connection is given up.
    pub(crate) fn bind(
        name: &'static str,
        addr: SocketAddr,
        user_timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Every connection inherits these from its listener, which saves it a system call each.
        socket.set_tcp_nodelay(true)?;
        // The system counts a peer that lives and pauses as well, so this is not for browsers.
        if user_timeout.is_some() {
            socket.set_tcp_user_timeout(user_timeout)?;
        }
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { socket: TcpListener::from_std(socket.into())?, name })
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
                Ok(connection) => return connection,
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
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[tokio::test]
    async fn connections_inherit_their_options() {
        let limit = Some(Duration::from_secs(30));
        let listener = Listener::bind("test", ([127, 0, 0, 1], 0).into(), limit).unwrap();
        let _near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _peer) = listener.accept().await;
        assert!(stream.nodelay().unwrap());
        assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), limit);
    }
}
