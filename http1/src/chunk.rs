//! What stands around the pieces of a chunked body (RFC 9112, section 7.1). The data stays where it is: a caller with
//! vectored writes sends a size line, the data and [`CRLF`] as three pieces.

use bytes::BytesMut;
use proto::Fields;

use crate::{digits, write};

/// What stands behind the data of a chunk.
pub const CRLF: &[u8] = b"\r\n";

/// The longest size line, in bytes.
pub const MAX_SIZE_LINE: usize = 16 + CRLF.len();

/// Appends the line before the data of a chunk. `size` is not 0, which would end the body: see [`write_last`].
pub fn write_size(out: &mut BytesMut, size: u64) {
    debug_assert!(size != 0, "an empty chunk ends the body");
    digits::write_hex(out, size);
    out.extend_from_slice(CRLF);
}

/// Appends the end of a body.
pub fn write_last(out: &mut BytesMut, trailers: Option<&Fields>) {
    out.extend_from_slice(b"0\r\n");
    for field in trailers.into_iter().flatten() {
        write::field(out, &field.name, &field.value);
    }
    out.extend_from_slice(CRLF);
}
