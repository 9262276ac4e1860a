//! What a port speaks, and how a connection to it begins.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use proto::auth;
use session::Channel;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::debug;

use super::{Port, Tls, names};

/// The type of a TLS record that begins a handshake (RFC 8446, section 5.1). No method of HTTP begins like that.
const HANDSHAKE: u8 = 22;
/// What is told to whoever speaks plain HTTP where only TLS is spoken.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 46\r\n\
    connection: close\r\n\r\nThis port speaks TLS: ask with https or wss.\r\n";
/// The alert `decode_error`: a message is longer than it may be (RFC 8446, section 6.2).
const TOO_LONG: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];
/// For those words to arrive.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a port speaks.
#[derive(Clone, Debug)]
pub(crate) enum Security {
    /// No TLS.
    Plain,
    /// TLS with those who begin with it.
    Either(Arc<Tls>, Port),
    /// Nothing but TLS.
    Tls(Arc<Tls>, Port),
}

/// Whether a client that begins with this byte speaks TLS.
pub(crate) fn is_handshake(first: u8) -> bool {
    first == HANDSHAKE
}

impl Security {
    /// What the ports for clients speak: the one for HTTP, and the one for HTTPS alone.
    pub(crate) fn of_clients(tls: Option<&Arc<Tls>>) -> [Self; 2] {
        match tls {
            None => [Self::Plain, Self::Plain],
            Some(tls) => {
                [Self::Either(Arc::clone(tls), Port::Clients), Self::Tls(Arc::clone(tls), Port::Clients)]
            }
        }
    }

    /// What a port for agents speaks.
    pub(crate) fn of_agents(tls: Option<&Arc<Tls>>, port: Port) -> Self {
        match tls.filter(|tls| tls.config.agents) {
            Some(tls) => Self::Tls(Arc::clone(tls), port),
            None => Self::Plain,
        }
    }

    /// Whether a client that begins with `first` is let in without TLS.
    pub(crate) fn takes_plain(&self, first: u8) -> bool {
        matches!(self, Self::Plain) || matches!(self, Self::Either(..)) && !is_handshake(first)
    }

    /// Agrees on keys.
    ///
    /// # Errors
    /// What the other side did wrong.
    pub(crate) async fn handshake<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match self {
            Self::Plain => Err(io::ErrorKind::Unsupported.into()),
            Self::Either(tls, port) | Self::Tls(tls, port) => {
                let handshake = TlsAcceptor::from(tls.config(*port)).accept(stream).into_fallible();
                match handshake.await {
                    Ok(stream) => Ok(stream),
                    Err((error, mut stream)) => {
                        // The alert says what is wrong, and unread bytes would destroy it on its way.
                        linger(&mut stream).await;
                        Err(error)
                    }
                }
            }
        }
    }

    /// Lets an agent in; `None` if it does not speak TLS as it should.
    pub(crate) async fn agent(
        self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<(Box<TlsStream<TcpStream>>, Channel)> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1..) if !is_handshake(first[0]) => {
                debug!(%peer, "no TLS where it is needed");
                refuse(stream).await;
                return None;
            }
            Ok(1..) => {}
            _ => return None,
        }
        match self.handshake(stream).await {
            Ok(stream) => {
                let channel = channel(&stream);
                Some((Box::new(stream), channel))
            }
            Err(error) => {
                if let Self::Either(tls, port) | Self::Tls(tls, port) = &self {
                    tls.refusals.failed(peer, port.transport(), &error);
                }
                None
            }
        }
    }
}

/// What the gateway, as one end of it, knows of a connection.
fn channel(stream: &TlsStream<TcpStream>) -> Channel {
    let (_, connection) = stream.get_ref();
    let mut value = [0; auth::BINDING_LEN];
    let exported = connection.export_keying_material(&mut value, auth::BINDING_LABEL, None);
    let certificate = connection.peer_certificates().and_then(<[_]>::first).map(names::subjects);
    Channel::tls(exported.is_ok().then_some(value), certificate)
}

/// Tells a client without TLS that it needs some, and closes the connection without destroying that answer.
pub(crate) async fn refuse(stream: TcpStream) {
    end(stream, SPEAK_TLS).await;
}

/// Tells a client that its greeting is too long, and closes the connection.
pub(crate) async fn refuse_greeting(stream: TcpStream) {
    end(stream, &TOO_LONG).await;
}

async fn end(mut stream: TcpStream, last_words: &[u8]) {
    if stream.write_all(last_words).await.is_ok() {
        linger(&mut stream).await;
    }
}

/// Ends our direction and reads on for a moment. Who does not wait for our last words does not want them.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    let rest = async {
        stream.shutdown().await?;
        let mut rest = [0; 4096];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    let _ = timeout(FAREWELL, rest).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = std::str::from_utf8(SPEAK_TLS).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
