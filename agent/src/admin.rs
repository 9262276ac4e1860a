//! Health, metrics and status over HTTP, for operators only.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use cli::operators::{self, Answer, text};
use http::{Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use crate::status::Source;

mod metrics;

/// How long a client may take to send a head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at a time; more wait.
const MAX_CONNECTIONS: usize = 64;
/// Pause after the system gave no connection, as when it has run out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// An address on which an agent answers its operators.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
}

impl Admin {
    /// Listens on `addr`.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(addr).await? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers for `source`. Never ends.
    ///
    /// # Cancel safety
    /// Dropping the future closes every connection.
    pub async fn serve(self, source: Source) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut builder = http1::Builder::new();
        // Without a timer the time-out would silently do nothing.
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        loop {
            let permit = Arc::clone(&room).acquire_owned().await.expect("nobody closes the semaphore");
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            while connections.try_join_next().is_some() {}
            let source = source.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                std::future::ready(Ok::<_, Infallible>(answer(&source, &request)))
            });
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            connections.spawn(async move {
                // What goes wrong is between the operator and the network.
                let _ = connection.await;
                drop(permit);
            });
        }
    }
}

/// `/healthz`: the process lives. `/readyz`: requests can come and be served. `/metrics`: what it counts. `/status`: how
/// it is.
fn answer<B>(source: &Source, request: &Request<B>) -> Answer {
    operators::answer(request, |path| match path {
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => {
            let status = source.status();
            match (status.is_online(), status.health.serving) {
                (true, true) => text(StatusCode::OK, "ready\n"),
                (false, _) => text(StatusCode::SERVICE_UNAVAILABLE, "no link to a gateway\n"),
                (true, false) => text(StatusCode::SERVICE_UNAVAILABLE, "the local service cannot be asked\n"),
            }
        }
        "/metrics" => operators::metrics(metrics::text(source)),
        "/status" => {
            operators::json(serde_json::to_vec(&source.status()).expect("plain values have a form in JSON"))
        }
        _ => text(StatusCode::NOT_FOUND, "here are /healthz, /readyz, /metrics and /status\n"),
    })
}

#[cfg(test)]
mod tests;
