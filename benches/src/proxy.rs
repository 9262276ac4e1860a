//! A reverse proxy of a few lines, as plain as one can be: what forwarding over HTTP costs when nothing is clever.

use std::{io, net::SocketAddr, process::ExitCode, str::FromStr as _};

use cli::Failure;
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

/// The first argument of a program that shall be a proxy instead of measuring.
const FLAG: &str = "--proxy";

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

impl Role {
    /// The proxy that the arguments of this program ask for, if they do. A bench calls it before anything else.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Option<Self> {
        let args: Vec<String> = args.into_iter().skip(1).collect();
        let [flag, listen, upstream] = &args[..] else { return None };
        let role = Self { listen: listen.parse().ok()?, upstream: upstream.parse().ok()? };
        (flag == FLAG).then_some(role)
    }

    /// Arguments that ask for it.
    pub fn args(self) -> [String; 3] {
        [FLAG.to_owned(), self.listen.to_string(), self.upstream.to_string()]
    }

    /// Forwards, on one thread, until the process is killed.
    pub fn play(self) -> ExitCode {
        let runtime = Builder::new_current_thread().enable_all().build();
        let Err(error) = runtime.and_then(|runtime| runtime.block_on(self.serve()));
        eprintln!("{}", Failure::runtime(error));
        ExitCode::FAILURE
    }

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
        let role = Role { listen: addr(1), upstream: addr(2) };
        assert_eq!(Role::from_args(["peers".to_owned()].into_iter().chain(role.args())), Some(role));
        assert_eq!(Role::from_args(["peers".to_owned(), "--quick".to_owned()]), None);
    }

    #[test]
    fn the_path_is_kept() {
        let path = PathAndQuery::from_static("/16?a=b");
        let target = target(SocketAddr::from(([127, 0, 0, 1], 80)), Some(&path)).unwrap();
        assert_eq!(target, "http://127.0.0.1:80/16?a=b");
    }
}
