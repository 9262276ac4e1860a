//! A connection to the gateway's address: directly, or through a proxy that makes tunnels.

use std::io;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::{client::conn::http1, upgrade::Upgraded};
use hyper_util::{client::proxy::matcher::Intercept, rt::TokioIo};
use proto::limits;
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;

use crate::GatewayUrl;

/// A connection, and what is in between.
pub(super) enum Connected {
    Directly(TcpStream),
    /// Through an HTTP proxy. What arrived behind its answer is kept.
    Through(TokioIo<Upgraded>),
}

/// Why a proxy did not give a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the texts say it")]
pub enum ProxyError {
    #[error("cannot connect to the proxy {proxy}: {source}")]
    Connect { proxy: String, source: io::Error },
    #[error(
        "the proxy {proxy} wants a user name and password (407): give them as http://user:password@host:port in \
         --proxy or HTTPS_PROXY"
    )]
    Unauthorized { proxy: String },
    #[error("the proxy {proxy} answered {status} to CONNECT {target}: does it allow that port?")]
    Refused { proxy: String, status: StatusCode, target: String },
    #[error("the proxy {proxy} broke off: {source}")]
    Broken { proxy: String, source: hyper::Error },
    #[error("the SOCKS proxy {proxy} gave no connection: {source}")]
    Socks { proxy: String, source: tokio_socks::Error },
    #[error("proxies of the kind {0} are not supported; http and socks5 are")]
    Kind(String),
}

/// Connects to `url` without a proxy.
pub(super) async fn directly(url: &GatewayUrl) -> io::Result<Connected> {
    connect(&url.host, url.port).await.map(Connected::Directly)
}

/// Connects to `url` through `proxy`.
pub(super) async fn through(proxy: &Intercept, url: &GatewayUrl) -> Result<Connected, ProxyError> {
    let scheme = proxy.uri().scheme_str().unwrap_or_default();
    let host = proxy.uri().host().unwrap_or_default().trim_matches(['[', ']']);
    let default_port = if scheme == "http" { 80 } else { 1080 };
    let port = proxy.uri().port_u16().unwrap_or(default_port);
    let name = format!("{host}:{port}");
    if !matches!(scheme, "http" | "socks5" | "socks5h") {
        return Err(ProxyError::Kind(scheme.to_owned()));
    }
    let stream =
        connect(host, port).await.map_err(|source| ProxyError::Connect { proxy: name.clone(), source })?;
    if scheme == "http" {
        http_connect(stream, name, proxy, url).await
    } else {
        socks5(stream, name, proxy, url).await
    }
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(limits::TCP_USER_TIMEOUT))?;
    Ok(stream)
}

/// CONNECT (RFC 9110, section 9.3.6), with credentials at once: asking first would cost a round trip.
async fn http_connect(
    stream: TcpStream,
    proxy: String,
    intercept: &Intercept,
    url: &GatewayUrl,
) -> Result<Connected, ProxyError> {
    let broken = |source| ProxyError::Broken { proxy: proxy.clone(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with the hand-over of its socket, or with the sender.
    tokio::spawn(connection.with_upgrades());
    let target = url.authority();
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = target.parse().expect("host and port were checked when the URL was parsed");
    let host = HeaderValue::try_from(&target).expect("what is an authority is a field value");
    request.headers_mut().insert(header::HOST, host);
    if let Some(credentials) = intercept.basic_auth() {
        request.headers_mut().insert(header::PROXY_AUTHORIZATION, credentials.clone());
    }
    let response = sender.send_request(request).await.map_err(broken)?;
    match response.status() {
        status if status.is_success() => {
            let upgraded = hyper::upgrade::on(response).await.map_err(broken)?;
            Ok(Connected::Through(TokioIo::new(upgraded)))
        }
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => Err(ProxyError::Unauthorized { proxy }),
        status => Err(ProxyError::Refused { proxy, status, target }),
    }
}

/// SOCKS5 (RFC 1928). The proxy resolves the name: inside a closed network only it can.
async fn socks5(
    stream: TcpStream,
    proxy: String,
    intercept: &Intercept,
    url: &GatewayUrl,
) -> Result<Connected, ProxyError> {
    let target = (url.host.as_str(), url.port);
    let connected = match intercept.raw_auth() {
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(stream, target, user, password).await
        }
        None => Socks5Stream::connect_with_socket(stream, target).await,
    };
    let stream = connected.map_err(|source| ProxyError::Socks { proxy, source })?;
    Ok(Connected::Directly(stream.into_inner()))
}
