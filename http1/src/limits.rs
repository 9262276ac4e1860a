use proto::limits::{MAX_HEAD_BYTES, MAX_HEADERS};

/// How much of anything a peer may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, from its first line to the empty line.
    pub head_bytes: usize,
    /// Fields of a head, and of a trailer section. Never more than [`MAX_HEADERS`] count, whatever is said here.
    pub fields: usize,
    /// Bytes of a request target. RFC 9112, section 3 asks for 8,000 at least.
    pub target_bytes: usize,
    /// Bytes of a trailer section.
    pub trailer_bytes: usize,
    /// Bytes of chunk extensions, and of padding, in all of a body (RFC 9112, section 7.1.1).
    pub chunk_extension_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: MAX_HEAD_BYTES,
            fields: MAX_HEADERS,
            target_bytes: 32 * 1024,
            trailer_bytes: 16 * 1024,
            chunk_extension_bytes: 16 * 1024,
        }
    }
}
