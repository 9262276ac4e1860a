use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

/// What a request through the tunnel gave.
#[derive(Debug)]
pub struct Check {
    /// Label of the transport.
    pub transport: &'static str,
    /// How long it took, or what went wrong.
    pub outcome: Result<Duration, CheckError>,
}

/// What can be wrong with an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The gateway cannot be reached.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// There was none, or not all of it.
    #[error("no whole answer: {0}")]
    NoAnswer(#[from] hyper::Error),
    /// It is not the sample service's.
    #[error("the answer is {0}, not 200")]
    Status(StatusCode),
    /// The body came back changed.
    #[error("the body came back changed")]
    Body,
}

/// Sends a body to the sample service through the tunnel and compares what comes back.
pub(super) async fn run(transport: &'static str, http: SocketAddr, host: &str) -> Check {
    let begun = Instant::now();
    let outcome = echo(http, host).await.map(|()| begun.elapsed());
    Check { transport, outcome }
}

async fn echo(http: SocketAddr, host: &str) -> Result<(), CheckError> {
    let sent = Bytes::from_static(b"through the tunnel and back");
    let mut request = Request::post("/echo").body(Full::new(sent.clone())).expect("a constant request");
    let authority = format!("{host}:{}", http.port()).parse().expect("made of an agent id and a port");
    request.headers_mut().insert(header::HOST, authority);
    request.headers_mut().insert(header::CONTENT_LENGTH, sent.len().into());
    let (mut client, connection) = handshake(TokioIo::new(TcpStream::connect(http).await?)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = client.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(CheckError::Status(response.status()));
    }
    let received = response.into_body().collect().await?.to_bytes();
    if received == sent { Ok(()) } else { Err(CheckError::Body) }
}
