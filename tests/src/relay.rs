use std::{
    collections::VecDeque,
    future::pending,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// A way to some address that can fall silent without closing anything, like a network that drops every packet, and that
/// can cut connections.
#[derive(Debug)]
pub struct Relay {
    addr: SocketAddr,
    ways: Arc<Mutex<Ways>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Ways {
    frozen: CancellationToken,
    /// For each connection what cuts it, the oldest first.
    cuts: VecDeque<CancellationToken>,
    refuses: bool,
}

impl Relay {
    /// A way to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let ways = Arc::default();
        let task = tokio::spawn(run(listener, target, Arc::clone(&ways)));
        Self { addr, ways, _task: AbortOnDropHandle::new(task) }
    }

    /// Where to connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Lets every connection of this moment fall silent. Later ones work.
    pub fn freeze(&self) {
        std::mem::take(&mut self.ways.lock().unwrap().frozen).cancel();
    }

    /// Cuts the oldest connection that was not cut yet.
    pub fn cut_oldest(&self) {
        self.ways.lock().unwrap().cuts.pop_front().unwrap().cancel();
    }

    /// Lets no further connection come about.
    pub fn refuse(&self) {
        self.ways.lock().unwrap().refuses = true;
    }

    /// Cuts every connection, and lets no further one come about.
    pub fn close(&self) {
        let mut ways = self.ways.lock().unwrap();
        ways.refuses = true;
        ways.cuts.drain(..).for_each(|cut| cut.cancel());
    }
}

async fn run(listener: TcpListener, target: SocketAddr, ways: Arc<Mutex<Ways>>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let (frozen, cut) = {
            let mut ways = ways.lock().unwrap();
            if ways.refuses {
                continue;
            }
            let cut = CancellationToken::new();
            ways.cuts.push_back(cut.clone());
            (ways.frozen.clone(), cut)
        };
        connections.spawn(async move {
            // Until its target is up again, a relay is a network without a route.
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = cut.cancelled() => {}
                () = frozen.cancelled() => pending().await,
            }
        });
    }
}
