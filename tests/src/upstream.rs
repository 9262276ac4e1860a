use std::net::SocketAddr;

use tokio::net::TcpListener;

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

    /// An address where nobody listens.
    pub async fn nowhere() -> SocketAddr {
        Self::start().await.addr()
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
