use std::{fmt, io};

use super::connection::CONNECT_TIMEOUT;
use crate::Upstream;

/// Why the local service gave no (complete) response. The texts are for the agent's own log: they name addresses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// No connection could be made: nothing was sent.
    #[error("{}", ConnectText(address, source))]
    Connect {
        /// Host and port of the service.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// No connection was made in time: nothing was sent.
    #[error("no connection to {address} within {} s: is that the right host, and is the service alive?", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout {
        /// Host and port of the service.
        address: String,
    },
    /// The service sent something that is not an HTTP/1.1 response, or a head beyond the limits.
    #[error("bad response ({source}): does the local service speak plain HTTP/1.1 on that port?")]
    BadResponse {
        /// The rule that was broken.
        source: hyper::Error,
    },
    /// The service closed the connection before its response was complete.
    #[error("the local service broke off ({}): see its own log", Chain(source))]
    Reset {
        /// How it ended.
        source: hyper::Error,
    },
    /// The request's own body failed: no fault of the service.
    #[error("the request body broke off ({})", Chain(source))]
    RequestBody {
        /// How it ended.
        source: hyper::Error,
    },
}

impl UpstreamError {
    pub(super) fn connect(upstream: &Upstream, source: io::Error) -> Self {
        Self::Connect { address: address(upstream), source }
    }

    pub(super) fn connect_timeout(upstream: &Upstream) -> Self {
        Self::ConnectTimeout { address: address(upstream) }
    }
}

impl From<hyper::Error> for UpstreamError {
    fn from(source: hyper::Error) -> Self {
        if source.is_parse() {
            Self::BadResponse { source }
        } else if source.is_user() {
            Self::RequestBody { source }
        } else {
            Self::Reset { source }
        }
    }
}

fn address(Upstream { host, port }: &Upstream) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
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

/// hyper's errors keep the part that helps in their source.
struct Chain<'a>(&'a hyper::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        match std::error::Error::source(self.0) {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}
