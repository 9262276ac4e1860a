use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use crate::seldom::Seldom;

/// Connections that the kernel holds until we take them.
const BACKLOG: i32 = 1024;
/// Pause after a failure to accept, such as running out of descriptors: neither spin nor give up.
const PAUSE: Duration = Duration::from_millis(100);

/// A listening socket whose connections come with the options that a proxy wants.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    name: &'static str,
    complaints: Seldom,
}

impl Listener {
    /// Binds at once, so that a port in use is an error at start-up. `user_timeout` is for how long bytes may wait for a
    /// peer that takes none, before its connection is given up. A port that is `shared` may be in use by other processes
    /// of the same user that share it.
    pub(crate) fn bind(
        name: &'static str,
        addr: SocketAddr,
        user_timeout: Option<Duration>,
        shared: bool,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if shared {
            socket.set_reuse_port(true)?;
        }
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Self::adopt(name, socket.into(), user_timeout)
    }

    /// Takes over a socket that listens already.
    pub(crate) fn adopt(
        name: &'static str,
        socket: OwnedFd,
        user_timeout: Option<Duration>,
    ) -> io::Result<Self> {
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        // Every connection inherits these from its listener, which saves it a system call each.
        socket.set_tcp_nodelay(true)?;
        // The system counts a peer that lives and pauses as well, so this is not for browsers.
        if user_timeout.is_some() {
            socket.set_tcp_user_timeout(user_timeout)?;
        }
        Ok(Self { socket: TcpListener::from_std(socket.into())?, name, complaints: Seldom::default() })
    }

    /// The address in use, with the port that the system chose if it was asked to.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Which port this is.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Has the kernel ignore who begins to connect, while those who have begun still come. When a listener is closed that
    /// shares its port, the kernel resets whoever waits at it; who is ignored tries again after a second, and is sent to
    /// another one then.
    pub(crate) fn ignore_newcomers(&self) {
        if let Err(error) = SockRef::from(&self.socket).attach_filter(&NEWCOMERS) {
            debug!(listener = self.name, %error, "newcomers cannot be ignored");
        }
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
                    debug!(listener = self.name, %error, "connection lost");
                }
                Err(error) => {
                    if self.complaints.now() {
                        warn!(listener = self.name, %error, "cannot accept connections; trying again");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A classic BPF program. What it sees begins with the TCP header, whose byte 13 holds the flags: a segment with SYN and
/// without ACK is dropped.
const NEWCOMERS: [SockFilter; 5] = {
    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
    const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ]
};

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests;
