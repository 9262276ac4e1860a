use std::{
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// The threads that connections are served on. Each has a reactor and a queue of its own, and a connection stays where it
/// began: work that wanders between cores costs more than it gains (a wake-up of an idle core is as dear as five small
/// requests), and a queue that is served in order lets all requests of one look at the sockets share one write to a link.
#[derive(Clone, Debug)]
pub struct Reactors {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handles: Box<[Handle]>,
    next: AtomicUsize,
    /// Dropped, it ends the threads.
    _running: Vec<oneshot::Sender<()>>,
}

impl Reactors {
    /// How many suit this machine: half of its cores, since the other ends of connections want to run as well.
    pub fn usual() -> NonZeroUsize {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN)
    }

    /// The runtime of the caller, and nothing besides.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn current() -> Self {
        Self::of(vec![Handle::current()], Vec::new())
    }

    /// The runtime of the caller, and as many threads besides as make `count` in all.
    ///
    /// # Errors
    /// What the system says if it gives no more threads.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let mut handles = vec![Handle::current()];
        let mut running = Vec::new();
        for number in 1..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (alive, ended) = oneshot::channel::<()>();
            handles.push(runtime.handle().clone());
            running.push(alive);
            // An error is how the channel says that its other end was dropped.
            let run = move || drop(runtime.block_on(ended));
            thread::Builder::new().name(format!("reactor-{number}")).spawn(run)?;
        }
        Ok(Self::of(handles, running))
    }

    fn of(handles: Vec<Handle>, running: Vec<oneshot::Sender<()>>) -> Self {
        let inner = Inner { handles: handles.into(), next: AtomicUsize::new(0), _running: running };
        Self { inner: Arc::new(inner) }
    }

    /// Whose turn it is to take a connection.
    pub(crate) fn next(&self) -> Reactor<'_> {
        let Inner { handles, next, .. } = &*self.inner;
        let index = if handles.len() == 1 { 0 } else { next.fetch_add(1, Relaxed) % handles.len() };
        Reactor { handle: &handles[index], is_home: index == 0 }
    }
}

/// One thread that serves connections.
pub(crate) struct Reactor<'a> {
    handle: &'a Handle,
    is_home: bool,
}

impl Reactor<'_> {
    /// Moves a connection here.
    ///
    /// # Errors
    /// What the system says if it cannot watch the connection.
    pub(crate) fn adopt(&self, stream: TcpStream) -> io::Result<TcpStream> {
        if self.is_home {
            return Ok(stream);
        }
        let stream = stream.into_std()?;
        let _context = self.handle.enter();
        TcpStream::from_std(stream)
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.handle
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn connections_are_dealt_out_and_work_where_they_go() {
        let reactors = Reactors::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut names = std::collections::HashSet::new();
        for _ in 0..3 {
            let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let reactor = reactors.next();
            let mut far = reactor.adopt(listener.accept().await.unwrap().0).unwrap();
            let served = reactor.handle().spawn(async move {
                far.write_all(b"hello").await.unwrap();
                thread::current().id()
            });
            let mut text = String::new();
            near.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, "hello");
            names.insert(served.await.unwrap());
        }
        assert_eq!(names.len(), 3);
    }
}
