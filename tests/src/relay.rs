use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// A way to some address that can fall silent without closing anything, like a network that drops every packet.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    frozen: Arc<Mutex<CancellationToken>>,
    _task: AbortOnDropHandle<()>,
}

impl Relay {
    /// A way to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        Self::from(Ipv4Addr::LOCALHOST, target).await
    }

    /// A way to `target` that comes from another address of this machine, such as 127.0.0.2.
    pub async fn from(source: Ipv4Addr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let frozen = Arc::new(Mutex::new(CancellationToken::new()));
        let task = tokio::spawn(run(listener, source, target, Arc::clone(&frozen)));
        Self { addr, frozen, _task: AbortOnDropHandle::new(task) }
    }

    /// Where to connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets every connection of this moment fall silent. Later ones work.
    pub fn freeze(&self) {
        let mut frozen = self.frozen.lock().unwrap();
        std::mem::take(&mut *frozen).cancel();
    }
}

async fn run(
    listener: TcpListener,
    source: Ipv4Addr,
    target: SocketAddr,
    frozen: Arc<Mutex<CancellationToken>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let frozen = frozen.lock().unwrap().clone();
        connections.spawn(async move {
            // Until its target is up again, a relay is a network without a route.
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((source, 0).into()).unwrap();
            let Ok(mut far) = socket.connect(target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = frozen.cancelled() => pending().await,
            }
        });
    }
}
