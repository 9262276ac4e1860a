//! Who is at the other end of a new connection, and which version of HTTP it speaks.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::{Buf as _, BytesMut};
use http1::{Preface, is_h2_preface};
use tokio::{io::AsyncRead, net::TcpStream, time::timeout};
use tokio_util::io::poll_read_buf;
use tracing::{debug, warn};

use super::{
    Ingress,
    h1::{self, Patience},
    h2,
    passthrough::{self, Sealed},
};
use crate::{
    acme,
    client::Client,
    edge::proxy_protocol::{self, Header},
    pause::Pause,
    socket::{Rewound, Socket},
    tls::{self, Hello, Security},
};

/// Room for the first bytes, which are a request as a rule.
const ROOM: usize = 4 * 1024;

/// How a connection begins.
enum Start {
    Http(Begun),
    /// With TLS that is not for us.
    Sealed(Sealed),
}

/// A connection whose client is known, and which version it speaks.
struct Begun {
    socket: Socket,
    /// What was read of it beyond.
    read: BytesMut,
    client: Client,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Serves a client's connection in the version that it begins with: HTTP/2 with prior knowledge (RFC 9113, section 3.3), or
/// HTTP/1; behind TLS in the one that was agreed on. A trusted proxy may have to say first for whom it speaks.
///
/// # Cancel safety
/// Dropping the future closes the connection and cancels its requests.
pub(crate) async fn serve(
    stream: TcpStream,
    client: Client,
    security: Security,
    ingress: Arc<Ingress>,
    patience: Patience,
    pause: Pause,
) {
    let begun = tokio::select! {
        begun = timeout(patience.head, begin(stream, client, &security, &ingress)) => begun.unwrap_or(None),
        () = pause.until_rest() => None,
    };
    match begun {
        None => {}
        Some(Start::Sealed(sealed)) => {
            Box::pin(passthrough::serve(sealed, ingress, patience.write)).await;
        }
        Some(Start::Http(Begun { socket, read, client, version: Version::Two })) => {
            Box::pin(h2::serve(socket, read.freeze(), client, ingress, patience, pause.answered())).await;
        }
        Some(Start::Http(Begun { socket, read, client, version: Version::One })) => {
            h1::serve(socket, read, client, ingress, patience, pause).await;
        }
    }
}

/// `None` if the client left without a word, or something else was said than there should be.
async fn begin(
    mut stream: TcpStream,
    client: Client,
    security: &Security,
    ingress: &Ingress,
) -> Option<Start> {
    let mut read = BytesMut::new();
    let client = if ingress.edge.expects_proxy_header(&client) {
        introduced(&mut stream, &mut read, client, ingress).await?
    } else {
        client
    };
    while !matches!(security, Security::Plain) && read.is_empty() {
        if fill(&mut stream, &mut read).await? == 0 {
            return None;
        }
    }
    if read.first().is_none_or(|first| security.takes_plain(*first)) {
        let version = preface(&mut stream, &mut read).await?;
        return Some(Start::Http(Begun { socket: Socket::Left(stream), read, client, version }));
    }
    if !tls::is_handshake(read[0]) {
        debug!(peer = %client.addr, "plain HTTP where TLS is needed");
        tls::refuse(stream).await;
        return None;
    }
    if ingress.edge.rules().passes_through() {
        let name = match asked_for(&mut stream, &mut read).await? {
            Asked::For(name) => name,
            Asked::TooMuch => {
                debug!(peer = %client.addr, "a greeting that is too long to be looked at");
                tls::refuse_greeting(stream).await;
                return None;
            }
        };
        if let Some(name) = name
            && let Some(agent_id) = ingress.edge.rules().sealed(&name).cloned()
        {
            return Some(Start::Sealed(Sealed { stream, read: read.freeze(), name, agent_id, client }));
        }
    }
    secured(Rewound::new(read.freeze(), stream), client, security).await.map(Start::Http)
}

/// What a client's greeting asks for.
enum Asked {
    /// The name, if there is one. A greeting that is none is answered by whoever opens it.
    For(Option<String>),
    /// It may be for an agent, but nobody waits for its end.
    TooMuch,
}

async fn asked_for(stream: &mut TcpStream, read: &mut BytesMut) -> Option<Asked> {
    loop {
        match tls::hello(read) {
            Hello::Name(name) => return Some(Asked::For(name)),
            Hello::Malformed => return Some(Asked::For(None)),
            Hello::TooLong => return Some(Asked::TooMuch),
            Hello::NeedMore => {}
        }
        if fill(stream, read).await? == 0 {
            return None;
        }
    }
}

/// Agrees on keys, and on a version along the way. Without ALPN it is HTTP/1, whatever else the client says then.
async fn secured(stream: Rewound<TcpStream>, client: Client, security: &Security) -> Option<Begun> {
    let stream = match security.handshake(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            debug!(peer = %client.addr, %error, "no TLS handshake");
            return None;
        }
    };
    let (_, connection) = stream.get_ref();
    // An authority that looks whether a name leads here has seen what it looks for (RFC 8737, section 3).
    if connection.alpn_protocol() == Some(acme::ALPN) {
        return None;
    }
    let client = client.secure(connection.server_name());
    let agreed = if connection.alpn_protocol() == Some(b"h2") { Version::Two } else { Version::One };
    let (mut socket, mut read) = (Socket::Right(Box::new(stream)), BytesMut::new());
    if agreed == Version::Two && preface(&mut socket, &mut read).await? == Version::One {
        debug!(peer = %client.addr, "another version of HTTP than the one agreed on");
        return None;
    }
    Some(Begun { socket, read, client, version: agreed })
}

/// Reads for whom a proxy speaks.
async fn introduced(
    stream: &mut TcpStream,
    read: &mut BytesMut,
    proxy: Client,
    ingress: &Ingress,
) -> Option<Client> {
    loop {
        match proxy_protocol::parse(read) {
            Ok(Some(Header { length, source, tls })) => {
                read.advance(length);
                let scheme = if tls { "https" } else { proxy.scheme };
                return Some(ingress.edge.client(source.unwrap_or(proxy.addr), scheme));
            }
            Ok(None) => {}
            Err(malformed) => {
                warn!(peer = %proxy.addr, %malformed, "a trusted proxy does not speak the PROXY protocol");
                return None;
            }
        }
        if fill(stream, read).await? == 0 {
            debug!(peer = %proxy.addr, "a trusted proxy left without a PROXY header");
            return None;
        }
    }
}

async fn preface<S: AsyncRead + Unpin>(stream: &mut S, read: &mut BytesMut) -> Option<Version> {
    loop {
        match is_h2_preface(read) {
            Preface::NeedMore => {}
            Preface::Yes => return Some(Version::Two),
            Preface::No => return Some(Version::One),
        }
        if fill(stream, read).await? == 0 {
            return None;
        }
    }
}

/// Reads what is there, at least a byte; 0 is the end, `None` a connection that broke.
async fn fill<S: AsyncRead + Unpin>(stream: &mut S, read: &mut BytesMut) -> Option<usize> {
    read.reserve(ROOM);
    poll_fn(|cx| poll_read_buf(Pin::new(&mut *stream), cx, read)).await.ok()
}
