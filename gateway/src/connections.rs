use std::{
    net::SocketAddr,
    pin::{Pin, pin},
};

use hyper::{
    Result,
    body::{Body, Incoming},
    rt::{Read, Write, bounds::Http2ServerConnExec},
    server::conn::{http1, http2},
    service::HttpService,
};
use tokio::net::TcpStream;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::debug;

use crate::{listener::Listener, reactors::Reactors};

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

/// The connections of one port, which end in two ways: each at its next pause, or all at once.
pub(crate) struct Connections {
    reactors: Reactors,
    tasks: TaskTracker,
    pause: CancellationToken,
    ended: CancellationToken,
}

impl Connections {
    /// No connections yet. Cancelling `ended` ends all there will be.
    pub(crate) fn new(reactors: Reactors, ended: &CancellationToken) -> Self {
        let (tasks, pause) = (TaskTracker::new(), CancellationToken::new());
        Self { reactors, tasks, pause, ended: ended.clone() }
    }

    /// Accepts connections and serves each on a task of its own, until the handle is dropped. Those that were accepted
    /// go on. The token that `serve` is given tells a connection to finish what it is at.
    pub(crate) fn accept<S, C>(&self, listener: Listener, serve: S) -> AbortOnDropHandle<()>
    where
        S: Fn(TcpStream, SocketAddr, CancellationToken) -> C + Send + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let Self { reactors, tasks, pause, ended } = self;
        let (reactors, tasks) = (reactors.clone(), tasks.clone());
        let (pause, ended) = (pause.clone(), ended.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await;
                let reactor = reactors.next();
                let stream = match reactor.adopt(stream) {
                    Ok(stream) => stream,
                    Err(error) => {
                        debug!(%peer, %error, "connection lost");
                        continue;
                    }
                };
                let connection = serve(stream, peer, pause.clone());
                let ended = ended.clone();
                let served = async move {
                    tokio::select! {
                        () = connection => {}
                        () = ended.cancelled() => {}
                    }
                };
                tasks.spawn_on(served, reactor.handle());
            }
        }))
    }

    /// Lets every connection finish what it is at, and waits until all are closed.
    ///
    /// # Cancel safety
    /// Connections go on closing when it is dropped.
    pub(crate) async fn drained(&self) {
        self.pause.cancel();
        self.tasks.close();
        self.tasks.wait().await;
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
