use std::{io, time::Duration};

/// Why a load cannot be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no connection, or no more.
    #[error("a client's connection failed")]
    Connection(#[from] io::Error),
    /// The server ended a connection before the end of a response.
    #[error("a connection was closed before the end of a response")]
    Closed,
    /// What came is not what this client understands.
    #[error("a response cannot be read, since it has {0}")]
    Response(&'static str),
    /// The response is an error.
    #[error("a request was answered with an error:\n{0}")]
    Status(String),
    /// The response is not the right one.
    #[error("a response of {announced} bytes came where {expected} were expected")]
    Length {
        /// Body bytes that the request asked for.
        expected: u64,
        /// Body bytes that the response announced.
        announced: u64,
    },
    /// A request does not end.
    #[error("a request has not ended after {} s", .0.as_secs())]
    Stuck(Duration),
}
