/// Where a body ends (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    Empty,
    /// After so many bytes, which may be none: `content-length: 0` says more than silence.
    Exactly(u64),
    /// With a chunk that says so (RFC 9112, section 7.1).
    Chunked,
    /// With the connection. Responses only.
    UntilClose,
}

impl BodyLength {
    /// Whether it is known that no byte follows.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Empty | Self::Exactly(0))
    }
}
