//! The service that a development tunnel leads to: a page, and an endpoint for each thing that is worth trying.

mod body;
mod page;
mod query;

use std::{convert::Infallible, time::Duration};

use http::{Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{
    body::{Body, text},
    query::{InvalidQuery, Query},
};

const SLOW: Duration = Duration::from_secs(2);
const SLOWEST: Duration = Duration::from_secs(60);
const EVENT_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
const BIG: u64 = 10 << 20;
const BIGGEST: u64 = 10 << 30;

/// Serves until `shutdown`, which closes every connection.
///
/// # Cancel safety
/// Dropping the future closes every connection as well.
pub(crate) async fn serve(listener: TcpListener, shutdown: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream))),
                Err(error) => {
                    tracing::warn!(%error, "sample service cannot accept");
                    // Out of file descriptors, most likely: accepting at once again would only spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "sample service cannot set TCP_NODELAY");
    }
    let service = service_fn(|request| async { Ok::<_, Infallible>(answer(request).await) });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection to the sample service ended");
    }
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    route(request).await.unwrap_or_else(|error| text(StatusCode::BAD_REQUEST, format!("{error}\n")))
}

async fn route(request: Request<Incoming>) -> Result<Response<Body>, InvalidQuery> {
    let query = Query::of(request.uri());
    match request.uri().path() {
        "/" => Ok(page::page(request.headers())),
        "/echo" => Ok(echo(request)),
        "/sse" => {
            let interval = query.duration("interval", EVENT_INTERVAL, LONGEST_INTERVAL)?;
            Ok(body::events(interval, query.count("count")?))
        }
        "/slow" => Ok(slow(query.duration("for", SLOW, SLOWEST)?).await),
        "/big" => Ok(body::big(query.size("size", BIG, BIGGEST)?)),
        path => Ok(path.strip_prefix("/status/").and_then(status).unwrap_or_else(not_found)),
    }
}

/// Sends a body back as it comes, or describes a request that has none.
fn echo(request: Request<Incoming>) -> Response<Body> {
    if http_body::Body::is_end_stream(request.body()) {
        return text(StatusCode::OK, described(&request));
    }
    let (mut head, incoming) = request.into_parts();
    let mut response = Response::new(body::streamed(incoming));
    // Trailers that are not announced would be left out.
    for name in [header::CONTENT_TYPE, header::TRAILER] {
        if let Some(value) = head.headers.remove(&name) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn described(request: &Request<Incoming>) -> String {
    let mut description = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        description.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    description
}

async fn slow(delay: Duration) -> Response<Body> {
    tokio::time::sleep(delay).await;
    text(StatusCode::OK, format!("answered after {}\n", humantime::format_duration(delay)))
}

/// The response for `/status/<code>`, unless the code is none that a final response can have.
fn status(code: &str) -> Option<Response<Body>> {
    let status = StatusCode::from_bytes(code.as_bytes()).ok().filter(|status| !status.is_informational())?;
    Some(match status {
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED => body::empty(status),
        _ => text(status, format!("{status}\n")),
    })
}

fn not_found() -> Response<Body> {
    let hint = "there is /, /echo, /sse, /slow, /big and /status/<200 to 999> here\n";
    text(StatusCode::NOT_FOUND, hint.to_owned())
}

#[cfg(test)]
mod tests;
