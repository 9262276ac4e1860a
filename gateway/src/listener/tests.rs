use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

use super::*;
use crate::{
    census::Census,
    connections::Connections,
    door::Door,
    metrics::ConnectionMetrics,
    reactors::Reactors,
    stage::{Guests, Life},
};

#[tokio::test]
async fn connections_inherit_their_options() {
    let limit = Some(Duration::from_secs(30));
    let listener = Listener::bind("test", ([127, 0, 0, 1], 0).into(), limit, false).unwrap();
    let _near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _peer) = listener.accept().await;
    assert!(stream.nodelay().unwrap());
    assert_eq!(SockRef::from(&stream).tcp_user_timeout().unwrap(), limit);
}

/// Takes connections and says one byte on each, until the life ends.
struct Greeter {
    life: Life,
    connections: Connections,
    accepting: tokio_util::task::AbortOnDropHandle<()>,
}

impl Greeter {
    fn on(listener: Arc<Listener>) -> Self {
        let life = Life::default();
        life.on_ready();
        let connections = Connections::new(Reactors::current());
        let census = Census::unbounded("test", &ConnectionMetrics::default());
        let door = Door { listener, guests: Guests::Clients, stage: life.watch(), census };
        let accepting = connections.accept(door, |mut stream, _peer, _pause| async move {
            stream.write_all(b"!").await.unwrap();
        });
        Self { life, connections, accepting }
    }

    /// As a gateway does that ends.
    async fn end(self, quiet: Duration) {
        self.life.on_end(Some(quiet));
        self.accepting.await.unwrap();
        self.connections.drained(Duration::from_secs(1)).await;
    }
}

/// Many who connect again and again, until they are told to stop.
#[derive(Default)]
struct Callers {
    calls: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Callers {
    fn of(addr: SocketAddr) -> Self {
        let mut callers = Self::default();
        for _ in 0..16 {
            let (calls, stop) = (Arc::clone(&callers.calls), Arc::clone(&callers.stop));
            callers.tasks.spawn(async move {
                while !stop.load(SeqCst) {
                    let mut stream = TcpStream::connect(addr).await.expect("nobody is refused");
                    assert_eq!(stream.read_u8().await.expect("nobody is reset"), b'!');
                    // Neither end waits for the other when it is closed, and no port is used up.
                    stream.set_zero_linger().unwrap();
                    calls.fetch_add(1, SeqCst);
                }
            });
        }
        callers
    }

    /// Waits for some calls more.
    async fn go_on(&mut self) {
        let wanted = self.calls.load(SeqCst) + 1000;
        while self.calls.load(SeqCst) < wanted {
            assert!(self.tasks.try_join_next().is_none(), "a call failed");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn stop(self) {
        self.stop.store(true, SeqCst);
        self.tasks.join_all().await;
    }
}

#[tokio::test]
async fn listeners_that_share_a_port_take_turns_without_losing_a_connection() {
    let bind = |addr| Arc::new(Listener::bind("test", addr, None, true).unwrap());
    let first = bind(([127, 0, 0, 1], 0).into());
    let addr = first.local_addr().unwrap();
    let mut listener = Arc::clone(&first);
    let mut current = Greeter::on(first);
    let mut callers = Callers::of(addr);
    for _ in 0..3 {
        let heir = bind(addr);
        let next = Greeter::on(Arc::clone(&heir));
        callers.go_on().await; // both take their share
        listener.ignore_newcomers();
        drop(std::mem::replace(&mut listener, heir));
        std::mem::replace(&mut current, next).end(Duration::from_millis(100)).await;
        callers.go_on().await;
    }
    callers.stop().await;
}
