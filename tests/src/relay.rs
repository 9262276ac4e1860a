use std::{
    collections::VecDeque,
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
    /// Where connections lead; `None` is nowhere.
    target: Option<SocketAddr>,
    /// Whether that holds for the next one only.
    once: bool,
    frozen: CancellationToken,
    /// For each connection what cuts it, the oldest first.
    cuts: VecDeque<CancellationToken>,
}

impl Relay {
    /// A way to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        Self::from(Ipv4Addr::LOCALHOST, target).await
    }

    /// A way to `target` for one connection; later ones lead nowhere.
    pub async fn once(target: SocketAddr) -> Self {
        Self::over(Ipv4Addr::LOCALHOST, Ways { target: Some(target), once: true, ..Ways::default() }).await
    }

    /// A way to `target` that comes from another address of this machine, such as 127.0.0.2.
    pub async fn from(source: Ipv4Addr, target: SocketAddr) -> Self {
        Self::over(source, Ways { target: Some(target), ..Ways::default() }).await
    }

    async fn over(source: Ipv4Addr, ways: Ways) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let ways = Arc::new(Mutex::new(ways));
        let task = tokio::spawn(run(listener, source, Arc::clone(&ways)));
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

    /// Leads later connections to another address.
    pub fn lead_to(&self, target: SocketAddr) {
        self.ways.lock().unwrap().target = Some(target);
    }

    /// Cuts every connection, and lets no further one come about.
    pub fn close(&self) {
        let mut ways = self.ways.lock().unwrap();
        ways.target = None;
        ways.cuts.drain(..).for_each(|cut| cut.cancel());
    }
}

async fn run(listener: TcpListener, source: Ipv4Addr, ways: Arc<Mutex<Ways>>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let (target, frozen, cut) = {
            let mut ways = ways.lock().unwrap();
            let Some(target) = ways.target else { continue };
            if ways.once {
                ways.target = None;
            }
            let cut = CancellationToken::new();
            ways.cuts.push_back(cut.clone());
            (target, ways.frozen.clone(), cut)
        };
        connections.spawn(async move {
            // Until its target is up again, a relay is a network without a route.
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((source, 0).into()).unwrap();
            let Ok(mut far) = socket.connect(target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                () = cut.cancelled() => {}
                () = frozen.cancelled() => pending().await,
            }
        });
    }
}
