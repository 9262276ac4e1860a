use std::{fmt, net::SocketAddr, pin::pin};

use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::debug;

use crate::listener::Listener;

/// The connections of one port, which end in two ways: each at its next pause, or all at once.
pub(crate) struct Connections {
    tasks: TaskTracker,
    pause: CancellationToken,
    ended: CancellationToken,
}

impl Connections {
    /// No connections yet. Cancelling `ended` ends all there will be.
    pub(crate) fn new(ended: &CancellationToken) -> Self {
        Self { tasks: TaskTracker::new(), pause: CancellationToken::new(), ended: ended.clone() }
    }

    /// Accepts connections and serves each on a task of its own, until the handle is dropped. Those that were accepted
    /// go on.
    pub(crate) fn accept<S, C>(&self, listener: Listener, serve: S) -> AbortOnDropHandle<()>
    where
        S: Fn(TcpStream, SocketAddr) -> C + Send + 'static,
        C: GracefulConnection<Error: fmt::Display + Send> + Send + 'static,
    {
        let Self { tasks, pause, ended } = self;
        let (tasks, pause, ended) = (tasks.clone(), pause.clone(), ended.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await;
                let connection = serve(stream, peer);
                let (pause, ended) = (pause.clone(), ended.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = run(connection, peer, pause) => {}
                        () = ended.cancelled() => {}
                    }
                });
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

async fn run(connection: impl GracefulConnection<Error: fmt::Display>, peer: SocketAddr, pause: CancellationToken) {
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = pause.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%peer, %error, "connection ended");
    }
}
