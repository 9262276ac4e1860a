//! A reverse proxy of a few lines, as plain as one can be: what forwarding over HTTP costs when nothing is clever.

use std::{io, net::SocketAddr, str::FromStr as _};

use http::{Request, Response, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{Either, Empty};
use hyper::{
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    task::JoinSet,
};

use crate::Part;

type Forward = Client<HttpConnector, Incoming>;
type Body = Either<Incoming, Empty<Bytes>>;

/// A proxy that is a child of the bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whom it asks.
    pub upstream: SocketAddr,
}

impl Part for Role {
    fn parse(words: &[&str]) -> Option<Self> {
        let [listen, upstream] = words else { return None };
        Some(Self { listen: listen.parse().ok()?, upstream: upstream.parse().ok()? })
    }

    fn words(&self) -> Vec<String> {
        [self.listen, self.upstream].map(|addr| addr.to_string()).into()
    }

    /// Forwards, on one thread, until the process is killed.
    fn run(self) -> anyhow::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let Err(error) = runtime.block_on(self.serve());
        Err(error.into())
    }
}

impl Role {
    async fn serve(self) -> io::Result<std::convert::Infallible> {
        let listener = TcpListener::bind(self.listen).await?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => {
                    drop(connections.spawn(connection(accepted?.0, client.clone(), self.upstream)));
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, client: Forward, upstream: SocketAddr) {
    let _ = stream.set_nodelay(true); // gone already, then
    let answer = service_fn(|request| forward(&client, upstream, request));
    // Clients close connections as they like.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn forward(
    client: &Forward,
    upstream: SocketAddr,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, http::Error> {
    *request.uri_mut() = target(upstream, request.uri().path_and_query())?;
    request.headers_mut().remove(header::CONNECTION);
    match client.request(request).await {
        Ok(mut response) => {
            response.headers_mut().remove(header::CONNECTION);
            Ok(response.map(Either::Left))
        }
        Err(_) => {
            let response = Response::builder().status(StatusCode::BAD_GATEWAY);
            response.body(Either::Right(Empty::new()))
        }
    }
}

fn target(upstream: SocketAddr, path: Option<&PathAndQuery>) -> Result<Uri, http::Error> {
    let authority = http::uri::Authority::from_str(&upstream.to_string())?;
    let path = path.cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Uri::builder().scheme("http").authority(authority).path_and_query(path).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_survives_the_command_line() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        crate::part::assert_survives_the_command_line(Role { listen: addr(1), upstream: addr(2) });
    }

    #[test]
    fn the_path_is_kept() {
        let path = PathAndQuery::from_static("/16?a=b");
        let target = target(SocketAddr::from(([127, 0, 0, 1], 80)), Some(&path)).unwrap();
        assert_eq!(target, "http://127.0.0.1:80/16?a=b");
    }
}
