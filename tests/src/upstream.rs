use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use crate::Wire;

/// A local service that the scenario plays itself: nothing is answered that it does not write.
#[derive(Debug)]
pub struct Upstream {
    listener: TcpListener,
}

impl Upstream {
    /// Listens on a port of its own.
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).await.unwrap() }
    }

    /// An address where nobody listens, and nobody will: its port is taken as long as this process lives.
    pub fn nowhere() -> SocketAddr {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let addr = socket.local_addr().unwrap();
        std::mem::forget(socket);
        addr
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection of the agent.
    pub async fn accept(&self) -> Wire {
        let (stream, _agent) = self.listener.accept().await.unwrap();
        Wire::new(stream)
    }
}
