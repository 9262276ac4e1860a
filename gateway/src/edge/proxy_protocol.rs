//! The PROXY protocol, versions 1 and 2: the first bytes of a connection, in which a load balancer says for whom it speaks
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>). Bytes in, verdict out.

use std::net::{IpAddr, SocketAddr};

mod v1;
mod v2;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// How many bytes it takes.
    pub(crate) length: usize,
    /// For whom the peer speaks. `None`: for itself, or it does not know.
    pub(crate) source: Option<SocketAddr>,
    /// Whether the source speaks TLS with the peer, which version 2 may say.
    pub(crate) tls: bool,
}

/// What is no header, and why, for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(&'static str);

/// Reads the header that a connection begins with. `None` if more bytes must come.
///
/// # Errors
/// [`Malformed`] as soon as it is certain.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let begins = |signature: &[u8]| {
        let length = signature.len().min(bytes.len());
        bytes[..length] == signature[..length]
    };
    if begins(v1::SIGNATURE) {
        v1::parse(bytes)
    } else if begins(v2::SIGNATURE) {
        v2::parse(bytes)
    } else {
        Err(Malformed("no PROXY header"))
    }
}

fn source(address: impl Into<IpAddr>, port: u16) -> Option<SocketAddr> {
    Some(SocketAddr::new(address.into().to_canonical(), port))
}

#[cfg(test)]
mod tests;
