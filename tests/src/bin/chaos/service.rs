//! The service behind the agents: it answers with what [`crate::kind`] says.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::kind::{self, Digest};

/// How long a connection may be idle, and what agents are told of it: short, so that what is left after a soak has leaked.
const IDLE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: HeaderValue = HeaderValue::from_static("timeout=3");

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A running service; it ends when it is dropped.
pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Service {
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        Ok(Self { addr, _task: AbortOnDropHandle::new(tokio::spawn(run(listener))) })
    }
}

async fn run(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _agent)) = accepted else { continue };
                let _ = stream.set_nodelay(true); // it is only slower without
                connections.spawn(async move {
                    let mut builder = http1::Builder::new();
                    builder.timer(TokioTimer::new()).header_read_timeout(IDLE);
                    // An agent that leaves is what this is all about.
                    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
            }
            Some(_ended) = connections.join_next() => {}
        }
    }
}

/// A request body that breaks off is an error, and closes the connection without an answer.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
    let (head, mut body) = request.into_parts();
    let id = head.uri.query().and_then(|query| query.strip_prefix("id=")).unwrap_or_default().to_owned();
    let body = match head.uri.path() {
        "/small" => whole(kind::small(&id)),
        "/stream" => pieces(id),
        "/slow" => whole(kind::large(&id)),
        "/upload" => {
            let mut digest = Digest::default();
            while let Some(frame) = body.frame().await {
                digest.add(frame?.data_ref().map_or(&[], |data| data));
            }
            whole(digest.told(&id))
        }
        path => whole(format!("nothing at {path}\n")),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert("keep-alive", KEEP_ALIVE);
    Ok(response)
}

fn whole(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed_unsync()
}

fn pieces(id: String) -> Body {
    let pieces = stream::unfold((id, 0), |(id, number)| async move {
        if number == kind::STREAM_PIECES {
            return None;
        }
        if number > 0 {
            sleep(kind::STREAM_PAUSE).await;
        }
        Some((Ok::<_, Infallible>(Frame::data(kind::stream_piece(&id, number))), (id, number + 1)))
    });
    StreamBody::new(pieces).boxed_unsync()
}
