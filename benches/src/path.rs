//! A way over which bytes take time: a TCP proxy that delays what passes and lets through no more than a rate. It needs no
//! rights and no kernel module.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::Instant,
};

use bytes::{BufMut as _, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Builder,
    sync::oneshot,
    task::JoinSet,
    time::sleep_until,
};

mod wire;

pub(crate) use wire::Quality;
use wire::Wire;

/// Longest queue of connections that nobody has accepted yet.
const BACKLOG: u32 = 128;
/// Most that is read at a time.
const READ: usize = 128 * 1024;
/// What the system is asked to hold for a slow way: it doubles that.
const SMALL_RECEIVE_BUFFER: u32 = wire::RECEIVE_WINDOW as u32 / 2;
/// A way on which less than this is on its way has systems with small buffers beside it.
const SMALL_PRODUCT: usize = 1024 * 1024;

/// A proxy of this kind, on a thread of its own. Each connection through it has the quality for itself, in either
/// direction. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Path {
    addr: SocketAddr,
    end: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Path {
    /// A way to `target`.
    pub(crate) fn to(target: SocketAddr, quality: Quality) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            let socket = socket(quality)?;
            socket.bind(([127, 0, 0, 1], 0).into())?;
            socket.listen(BACKLOG)?
        };
        let addr = listener.local_addr()?;
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("path".to_owned());
        let thread = thread.spawn(move || runtime.block_on(serve(listener, target, quality, ended)))?;
        Ok(Self { addr, end: Some(end), thread: Some(thread) })
    }

    /// Where it begins.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join); // its panic was printed
    }
}

async fn serve(
    listener: TcpListener,
    target: SocketAddr,
    quality: Quality,
    mut ended: oneshot::Receiver<Infallible>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut ended => return,
            Some(_) = connections.join_next() => {}
            // A failure shows in the measurement.
            Ok((near, _)) = listener.accept() => drop(connections.spawn(connection(near, target, quality))),
        }
    }
}

async fn connection(near: TcpStream, target: SocketAddr, quality: Quality) -> io::Result<()> {
    let far = socket(quality)?.connect(target).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::try_join!(carry(near_read, far_write, quality), carry(far_read, near_write, quality))?;
    Ok(())
}

/// A slow way must be what is slow: what waits for it shall wait at its sender, and not in a buffer here.
fn socket(quality: Quality) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    if quality.product() < SMALL_PRODUCT {
        socket.set_recv_buffer_size(SMALL_RECEIVE_BUFFER)?;
    }
    Ok(socket)
}

/// Carries one direction to its end.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, quality: Quality) -> io::Result<()> {
    let mut wire = Wire::new(quality, Instant::now());
    let mut buffer = BytesMut::new();
    let mut is_open = true;
    while is_open || wire.next_due().is_some() {
        buffer.reserve(READ);
        let room = wire.room();
        let mut limited = (&mut buffer).limit(room.min(READ));
        tokio::select! {
            () = at(wire.next_due()) => {
                while let Some(bytes) = wire.take_due(Instant::now()) {
                    to.write_all(&bytes).await?;
                }
            }
            read = from.read_buf(&mut limited), if is_open && room > 0 => {
                is_open = read? > 0;
                wire.push(buffer.split().freeze(), Instant::now());
            }
        }
    }
    to.shutdown().await
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Upstream,
        load::{Load, Request, Until},
    };

    async fn fastest(quality: Quality, length: u64) -> Duration {
        let upstream = Upstream::start().unwrap();
        let path = Path::to(upstream.addr(), quality).unwrap();
        let mut load = Load::prepare(path.addr(), Request::get("here", length), 1).await.unwrap();
        load.run(Until::Once).await.unwrap().latencies[0]
    }

    #[tokio::test]
    async fn a_small_request_takes_a_round_trip() {
        let quality = Quality { delay: Duration::from_millis(20), rate: 1_000_000_000 };
        let latency = fastest(quality, 16).await;
        assert!(latency >= quality.delay * 2, "{latency:?}");
    }

    #[tokio::test]
    async fn a_large_one_takes_what_the_rate_says() {
        let latency = fastest(Quality { delay: Duration::ZERO, rate: 8_000_000 }, 200_000).await;
        assert!(latency >= Duration::from_millis(190), "{latency:?}");
    }
}
