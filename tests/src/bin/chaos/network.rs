//! What lies between agents and their gateway, and can fail in every way that networks do.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

/// What a slow line does after each piece.
const SLOW: Duration = Duration::from_millis(50);
const SLOW_PIECE: usize = 4 << 10;
const PIECE: usize = 64 << 10;

/// A way to one address. Every connection is a line that can be cut, held or slowed down.
///
/// ```text
/// Open <--> Slow     either --cut--> Cut
///   \-- hold --> Held --cut--> Cut
/// ```
pub(crate) struct Network {
    pub(crate) addr: SocketAddr,
    lines: Arc<Mutex<Vec<Line>>>,
    _task: AbortOnDropHandle<()>,
}

/// How a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// It carries 80 KiB in a second.
    Slow,
    /// Nothing passes, and nobody is told.
    Held,
    /// Both sides see a reset or an end.
    Cut,
}

type Line = watch::Sender<State>;

impl Network {
    /// A way to `target`.
    pub(crate) async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(run(listener, target, Arc::clone(&lines)));
        Ok(Self { addr, lines, _task: AbortOnDropHandle::new(task) })
    }

    /// Cuts one line; any number will do.
    pub(crate) fn cut(&self, number: usize) {
        self.set(number, State::Cut);
    }

    /// Cuts all lines, those that are held as well.
    pub(crate) fn cut_all(&self) {
        self.with(|lines| lines.iter().for_each(|line| _ = line.send_replace(State::Cut)));
    }

    /// Lets nothing pass on one line any more.
    pub(crate) fn hold(&self, number: usize) {
        self.set(number, State::Held);
    }

    /// Slows all lines down, or makes them fast again.
    pub(crate) fn slow(&self, slow: bool) {
        let (from, to) = if slow { (State::Open, State::Slow) } else { (State::Slow, State::Open) };
        self.with(|lines| {
            for line in lines {
                line.send_if_modified(|state| {
                    let changes = *state == from;
                    if changes {
                        *state = to;
                    }
                    changes
                });
            }
        });
    }

    /// Ends what was held, as a network does in the end.
    pub(crate) fn heal(&self) {
        self.slow(false);
        self.with(|lines| {
            let held = lines.iter().filter(|line| *line.borrow() == State::Held);
            held.for_each(|line| _ = line.send_replace(State::Cut));
        });
    }

    fn set(&self, number: usize, state: State) {
        self.with(|lines| {
            if let Some(line) = lines.get(number % lines.len().max(1)) {
                line.send_replace(state);
            }
        });
    }

    fn with<R>(&self, act: impl FnOnce(&[Line]) -> R) -> R {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|line| !line.is_closed());
        act(&lines)
    }
}

async fn run(listener: TcpListener, target: SocketAddr, lines: Arc<Mutex<Vec<Line>>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { continue };
                let (line, state) = watch::channel(State::Open);
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                connections.spawn(carry(near, target, state));
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// Carries both directions until one fails or the line is cut.
async fn carry(near: TcpStream, target: SocketAddr, mut state: watch::Receiver<State>) {
    let Ok(far) = TcpStream::connect(target).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true)); // it is only slower without
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let (up, down) = (state.clone(), state.clone());
    tokio::select! {
        _ = async { tokio::join!(copy(near_read, far_write, up), copy(far_read, near_write, down)) } => {}
        _ = state.wait_for(|state| *state == State::Cut) => {}
    }
}

/// An end is passed on, and the other direction may go on.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let slow = *state.borrow() == State::Slow;
        let room = if slow { SLOW_PIECE } else { PIECE };
        let Ok(read) = from.read(&mut buffer[..room]).await else { return };
        if state.wait_for(|state| *state != State::Held).await.is_err() {
            return;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            let _ = to.shutdown().await; // the other side may be gone
            return;
        }
        if slow {
            sleep(SLOW).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// Both ends of a line through a network.
    async fn line() -> (Network, TcpStream, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let network = Network::start(listener.local_addr().unwrap()).await.unwrap();
        let near = TcpStream::connect(network.addr).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (network, near, far)
    }

    #[tokio::test]
    async fn a_line_carries_and_passes_ends_on() {
        let (_network, mut near, mut far) = line().await;
        near.write_all(b"ping").await.unwrap();
        near.shutdown().await.unwrap();
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"ping");
        far.write_all(b"pong").await.unwrap();
        drop(far);
        got.clear();
        near.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"pong");
    }

    #[tokio::test]
    async fn a_cut_ends_both_sides() {
        let (network, mut near, mut far) = line().await;
        network.cut(7);
        assert!(matches!(near.read(&mut [0]).await, Ok(0) | Err(_)));
        assert!(matches!(far.read(&mut [0]).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn what_is_held_stays_open_until_the_network_heals() {
        let (network, mut near, mut far) = line().await;
        network.hold(0);
        near.write_all(b"lost").await.unwrap();
        let silence = timeout(Duration::from_millis(50), far.read(&mut [0; 8])).await;
        assert!(silence.is_err(), "{silence:?}");
        network.heal();
        assert!(matches!(near.read(&mut [0]).await, Ok(0) | Err(_)));
    }
}
