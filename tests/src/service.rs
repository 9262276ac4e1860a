use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{Error, Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;

/// The body of a [`Service`]'s response.
pub type ServiceBody = UnsyncBoxBody<Bytes, Error>;

/// A local service on hyper, written as a function from request to response.
#[derive(Debug)]
pub struct Service {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Service {
    /// A service that answers with `handler`.
    pub async fn start<H, F>(handler: H) -> Self
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<ServiceBody>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(run(listener, handler, Arc::clone(&connections)));
        Self { addr, connections, _task: AbortOnDropHandle::new(task) }
    }

    /// A service that gives every body back as it comes, and method and target as fields.
    pub async fn echo() -> Self {
        Self::start(async |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let response = Response::builder()
                .header("x-method", head.method.as_str())
                .header("x-target", head.uri.to_string());
            response.body(body.boxed_unsync()).unwrap()
        })
        .await
    }

    /// A service that answers everything with `text`.
    pub async fn saying(text: &'static str) -> Self {
        Self::start(move |_request| async move { Self::text(text) }).await
    }

    /// A response of 200 and `text`.
    pub fn text(text: impl Into<Bytes>) -> Response<ServiceBody> {
        Response::new(Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How many connections were made to it so far.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

async fn run<H, F>(listener: TcpListener, handler: H, count: Arc<AtomicUsize>)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<ServiceBody>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        let (stream, _agent) = listener.accept().await.unwrap();
        count.fetch_add(1, SeqCst);
        let handler = handler.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // Scenarios look at what the other side sees of an error.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
