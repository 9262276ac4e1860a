use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hyper::{
    Result,
    body::{Body, Incoming},
    rt::{Read, Write, bounds::Http2ServerConnExec},
    server::conn::{http1, http2},
    service::HttpService,
};
use tokio::{
    net::TcpStream,
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, timeout_at},
};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::debug;

use crate::{
    door::Door,
    pause::{Pause, Pauses},
    reactors::Reactors,
    stage::Gate,
};

/// Connections that keep coming do not keep a port from closing.
const CLOSING_LIMIT: Duration = Duration::from_millis(500);

/// A connection that can be asked to end at its next pause. hyper-util's trait of this kind leaves out connections that
/// may be upgraded.
pub(crate) trait Connection: Future<Output = Result<()>> {
    /// Finishes what is in progress and takes nothing new.
    fn finish(self: Pin<&mut Self>);
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl<I, B, S> Connection for http1::UpgradeableConnection<I, S>
where
    S: HttpService<Incoming, ResBody = B, Error: Into<BoxError>>,
    I: Read + Write + Unpin + Send + 'static,
    B: Body<Error: Into<BoxError>> + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, B, S, E> Connection for http2::Connection<I, S, E>
where
    S: HttpService<Incoming, ResBody = B, Error: Into<BoxError>>,
    I: Read + Write + Unpin,
    B: Body<Error: Into<BoxError>> + 'static,
    E: Http2ServerConnExec<S::Future, B>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// One that does not stand in the future that runs it, where each move leaves room for a copy.
impl<C: Connection + ?Sized> Connection for Pin<Box<C>> {
    fn finish(self: Pin<&mut Self>) {
        self.get_mut().as_mut().finish();
    }
}

/// The connections of one port, which end in two ways: each at its next pause, or all at once when this is dropped.
pub(crate) struct Connections {
    reactors: Reactors,
    open: Arc<Open>,
    tasks: TaskTracker,
    pauses: Pauses,
}

impl Connections {
    /// No connections yet.
    pub(crate) fn new(reactors: Reactors) -> Self {
        Self { reactors, open: Arc::default(), tasks: TaskTracker::new(), pauses: Pauses::default() }
    }

    /// Accepts connections and serves each on a task of its own, until the stage says that no more will come. Those that
    /// were accepted go on. The pause that `serve` is given tells a connection to finish what it is at.
    pub(crate) fn accept<S, C>(&self, door: Door, serve: S) -> AbortOnDropHandle<()>
    where
        S: Fn(TcpStream, SocketAddr, Pause) -> C + Send + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let Self { reactors, open, tasks, pauses } = self;
        let (reactors, open) = (reactors.clone(), Arc::clone(open));
        let (tasks, pauses) = (tasks.clone(), pauses.clone());
        let Door { listener, guests, mut stage, census } = door;
        let take = move |(stream, peer): (TcpStream, SocketAddr)| {
            let Some(counted) = census.enter(peer.ip()) else { return };
            let reactor = reactors.next();
            match reactor.adopt(stream) {
                Ok(stream) => {
                    let connection = serve(stream, peer, pauses.current());
                    let connection = async move {
                        let _counted = counted;
                        connection.await;
                    };
                    open.spawn(connection, &tasks, reactor.handle());
                }
                Err(error) => debug!(%peer, %error, "connection lost"),
            }
        };
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let gate = stage.borrow_and_update().gate(guests);
                match gate {
                    Gate::Open => tokio::select! {
                        connection = listener.accept() => take(connection),
                        changed = stage.changed() => if changed.is_err() { return },
                    },
                    Gate::Shut => {
                        if stage.changed().await.is_err() {
                            return;
                        }
                    }
                    Gate::Closing(quiet) => {
                        let end = Instant::now() + CLOSING_LIMIT;
                        let next = || timeout_at(end.min(Instant::now() + quiet), listener.accept());
                        while let Ok(connection) = next().await {
                            take(connection);
                        }
                        return;
                    }
                    Gate::Closed => return,
                }
            }
        }))
    }

    /// What new connections are told.
    pub(crate) fn pauses(&self) -> &Pauses {
        &self.pauses
    }

    /// Lets every connection finish what it is at, and waits until all are closed. For as long as `rest` they may rest, so
    /// that a client that is about to ask gets its answer.
    ///
    /// # Cancel safety
    /// Connections go on closing when it is dropped.
    pub(crate) async fn drained(&self, rest: Duration) {
        let pause = self.pauses.current();
        pause.after_answers();
        self.tasks.close();
        if tokio::time::timeout(rest, self.tasks.wait()).await.is_err() {
            pause.at_rest();
            self.tasks.wait().await;
        }
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.open.end();
    }
}

/// The tasks of connections, to end them all. A token that each of them watched would cost every request.
#[derive(Debug, Default)]
struct Open {
    tasks: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    last: u64,
    entries: HashMap<u64, Entry>,
    ended: bool,
}

#[derive(Debug)]
enum Entry {
    Running(AbortHandle),
    /// It was over before its handle came.
    Gone,
}

impl Open {
    fn spawn(
        self: &Arc<Self>,
        connection: impl Future<Output = ()> + Send + 'static,
        tasks: &TaskTracker,
        on: &Handle,
    ) {
        let number = self.number();
        let leaving = Leaving { open: Arc::clone(self), number };
        let task = tasks.spawn_on(
            async move {
                let _leaving = leaving;
                connection.await;
            },
            on,
        );
        let mut open = self.lock();
        if open.ended {
            task.abort();
        }
        if let Some(Entry::Gone) = open.entries.insert(number, Entry::Running(task.abort_handle())) {
            open.entries.remove(&number);
        }
    }

    fn end(&self) {
        let mut open = self.lock();
        open.ended = true;
        for entry in open.entries.values() {
            if let Entry::Running(task) = entry {
                task.abort();
            }
        }
    }

    fn number(&self) -> u64 {
        let mut open = self.lock();
        open.last += 1;
        open.last
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a task off the list when it is over, however it ends.
struct Leaving {
    open: Arc<Open>,
    number: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        if open.entries.remove(&self.number).is_none() {
            open.entries.insert(self.number, Entry::Gone);
        }
    }
}

/// Runs a connection until either side ends it; from `pause` on it finishes what it is at.
pub(crate) async fn run(connection: impl Connection, peer: SocketAddr, pause: CancellationToken) {
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = pause.cancelled() => {
            connection.as_mut().finish();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%peer, %error, "connection ended");
    }
}
