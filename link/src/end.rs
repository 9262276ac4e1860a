use proto::{ConnectError, codec::UnpackError, tunnel_close::Reason};

/// Why a transport stopped carrying frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The connection broke, or the peer reset it.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// A frame is larger than the transport takes.
    #[error("a frame is larger than the limit: {0}")]
    TooLarge(String),
    /// What arrived is not a frame.
    #[error("malformed frame: {0}")]
    Malformed(String),
    /// What arrived is nothing that carries frames.
    #[error("unsupported message: {0}")]
    Unsupported(String),
    /// The peer broke the rules of the transport itself.
    #[error("transport violation: {0}")]
    Violation(String),
}

impl From<UnpackError> for LinkError {
    fn from(error: UnpackError) -> Self {
        match error {
            UnpackError::TooLarge => Self::TooLarge(error.to_string()),
            _ => Self::Malformed(error.to_string()),
        }
    }
}

/// Why a link was closed, for the transport to tell its peer in its own way.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed it, or it broke.
    Gone,
    /// Nothing arrived for too long.
    Silent,
    /// This process shuts down.
    Shutdown,
    /// A newer link of the same agent took its place.
    Replaced,
    /// The credential of the agent is not good any more.
    Withdrawn {
        /// What became of it, in one word.
        what: &'static str,
        /// The same for the agent.
        message: String,
    },
    /// The peer broke the protocol.
    Protocol(String),
    /// What arrived is not a frame.
    Malformed(String),
    /// What arrived is nothing that carries frames.
    Unsupported(String),
    /// A frame was larger than the limit.
    TooLarge(String),
    /// The peer reads too slowly even for control frames.
    Overloaded,
    /// The first frame was answered with an error.
    Refused(Box<ConnectError>),
}

impl From<LinkError> for CloseReason {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Broken(_) => Self::Gone,
            LinkError::TooLarge(what) => Self::TooLarge(what),
            LinkError::Malformed(what) => Self::Malformed(what),
            LinkError::Unsupported(what) => Self::Unsupported(what),
            LinkError::Violation(what) => Self::Protocol(what),
        }
    }
}

/// Why an exchange ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Abort {
    /// The peer closed it. The message is the peer's own, for logs only.
    #[error("closed by the peer: {}", reason.as_str_name())]
    Peer {
        /// What the peer gave as its reason.
        reason: Reason,
        /// The peer's words, at most 256 bytes.
        message: String,
    },
    /// We closed it, for this reason.
    #[error("closed by us: {}", .0.as_str_name())]
    Local(Reason),
    /// The peer broke the protocol on this exchange.
    #[error("protocol violation by the peer: {0}")]
    Violation(&'static str),
    /// The link was lost. `handed_over` tells whether the peer can have seen the request.
    #[error("the link was lost")]
    LinkLost {
        /// Whether the exchange's head had been given to the transport.
        handed_over: bool,
    },
    /// The link may be dead, and the request is better sent over another one.
    #[error("the peer was not heard of for too long")]
    Unheard,
    /// The peer wants no more of our half. The other half goes on.
    #[error("the peer stopped reading")]
    Stopped,
}
