use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
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
    /// The gateway cannot be reached, or TLS cannot be agreed on.
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

/// The port that clients are served on, and whom they trust if it is that of TLS.
pub(super) struct Door {
    pub(super) port: SocketAddr,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Sends a body to the sample service through the tunnel and compares what comes back.
pub(super) async fn run(transport: &'static str, door: &Door, host: String) -> Check {
    let begun = Instant::now();
    let outcome = through(door, host).await.map(|()| begun.elapsed());
    Check { transport, outcome }
}

async fn through(door: &Door, host: String) -> Result<(), CheckError> {
    let authority = format!("{host}:{}", door.port.port()).parse().expect("made of an agent id and a port");
    let stream = TcpStream::connect(door.port).await?;
    let Some(tls) = &door.tls else { return echo(stream, authority).await };
    let name = ServerName::try_from(host).expect("made of an agent id");
    echo(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?, authority).await
}

async fn echo(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    authority: HeaderValue,
) -> Result<(), CheckError> {
    let sent = Bytes::from_static(b"through the tunnel and back");
    let mut request = Request::post("/echo").body(Full::new(sent.clone())).expect("a constant request");
    request.headers_mut().insert(header::HOST, authority);
    request.headers_mut().insert(header::CONTENT_LENGTH, sent.len().into());
    let (mut client, connection) = handshake(TokioIo::new(stream)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = client.send_request(request).await?;
    if response.status() != StatusCode::OK {
        return Err(CheckError::Status(response.status()));
    }
    let received = response.into_body().collect().await?.to_bytes();
    if received == sent { Ok(()) } else { Err(CheckError::Body) }
}
