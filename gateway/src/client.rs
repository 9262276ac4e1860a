use std::net::SocketAddr;

/// Who sends requests on a public connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Where it is.
    pub(crate) addr: SocketAddr,
    /// The scheme that it speaks to us: `http` or `https`.
    pub(crate) scheme: &'static str,
}
