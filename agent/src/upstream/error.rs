use std::{fmt, io};

use http1::{BodyError, HeadError};

use super::dial::CONNECT_TIMEOUT;
use crate::{
    Upstream,
    trust::{Peer, explain},
};

/// Why the local service gave no (complete) response. The texts are for the agent's own log: they name addresses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum UpstreamError {
    /// No connection could be made: nothing was sent.
    #[error("{}", ConnectText(address, source))]
    Connect { address: String, source: io::Error },
    /// No connection was made in time: nothing was sent.
    #[error("no connection to {address} within {} s: is that the right host, and is the service alive?", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout { address: String },
    /// No TLS could be agreed on: nothing was sent.
    #[error("no TLS with {address}: {}", TlsText(peer, source))]
    Tls { address: String, peer: Peer, source: io::Error },
    /// The service does not speak HTTP/2, or ended it.
    #[error("HTTP/2 with the local service failed ({0}): does it speak HTTP/2 on that port?")]
    Http2(#[source] h2::Error),
    /// The service sent something that is not an HTTP/1.1 response, or a head beyond the limits.
    #[error("bad response ({0}): does the local service speak plain HTTP/1.1 on that port?")]
    Head(#[source] HeadError),
    /// The status is none that ends an exchange (RFC 9110, section 15).
    #[error("bad response: {0} is no status of HTTP")]
    Status(u16),
    /// The head is beyond what a frame carries.
    #[error("bad response ({0})")]
    Fields(#[source] proto::headers::InvalidHeaders),
    /// The service sent something behind its head that is no body.
    #[error("bad response ({0}): see the log of the local service")]
    Body(#[source] BodyError),
    /// The service closed the connection before its response was complete.
    #[error("the local service broke off ({0}): see its own log")]
    Reset(#[source] io::Error),
}

impl UpstreamError {
    pub(super) fn connect(upstream: &Upstream, source: io::Error) -> Self {
        Self::Connect { address: upstream.authority(), source }
    }

    pub(super) fn tls(upstream: &Upstream, source: io::Error) -> Self {
        Self::Tls { address: upstream.authority(), peer: Peer::Service(upstream.host.clone()), source }
    }

    pub(super) fn connect_timeout(upstream: &Upstream) -> Self {
        Self::ConnectTimeout { address: upstream.authority() }
    }

    /// The service closed the connection where a response should begin.
    pub(crate) fn closed() -> Self {
        Self::Reset(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection was closed without an answer",
        ))
    }
}

struct ConnectText<'a>(&'a str, &'a io::Error);

impl fmt::Display for ConnectText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(address, source) = self;
        if source.kind() == io::ErrorKind::ConnectionRefused {
            // The space keeps the address clean to copy.
            return write!(f, "connect refused: is anything listening on {address} ?");
        }
        write!(f, "cannot connect to {address}: {source}")
    }
}

struct TlsText<'a>(&'a Peer, &'a io::Error);

impl fmt::Display for TlsText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(peer, source) = self;
        match explain(*source, peer) {
            Some(explanation) => f.write_str(&explanation),
            None => write!(f, "{source}"),
        }
    }
}
