/// Why a head is refused; the fault is its sender's. Nothing of what was sent is repeated: it may be secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The text is not what RFC 9112 describes.
    #[error("invalid {0}")]
    Malformed(&'static str),
    /// More bytes than [`Limits::head_bytes`](crate::Limits::head_bytes).
    #[error("the head is too large")]
    TooLarge,
    /// More fields than [`Limits::fields`](crate::Limits::fields).
    #[error("the head has too many fields")]
    TooManyFields,
    /// A request target longer than [`Limits::target_bytes`](crate::Limits::target_bytes).
    #[error("the request target is too long")]
    TargetTooLong,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("unsupported HTTP version")]
    UnsupportedVersion,
    /// Anything but one `transfer-encoding: chunked` on HTTP/1.1 (RFC 9112, section 6.1).
    #[error("unsupported transfer-encoding")]
    UnsupportedTransferCoding,
    /// Both `content-length` and `transfer-encoding` (RFC 9112, section 6.3): the classic of request smuggling.
    #[error("both content-length and transfer-encoding")]
    ConflictingFraming,
    /// `content-length` is not one number (RFC 9110, section 8.6).
    #[error("content-length is not one number")]
    InvalidContentLength,
    /// A 101 response to a request that did not ask for one (RFC 9110, section 7.8).
    #[error("a switch of protocols that was not asked for")]
    UnexpectedSwitch,
}

impl HeadError {
    /// The status that tells a client what is wrong with its request.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyFields => 431,
            Self::TargetTooLong => 414,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }
}
