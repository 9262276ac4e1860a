use bytes::{Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Header, Status};
use memchr::memchr;
use proto::{Fields, limits};

use crate::HeadError;

/// The most fields that [`parse`] takes.
pub(crate) const MAX: usize = limits::MAX_HEADERS;

/// Nearly every head has no more fields than this.
const FEW: usize = 24;

/// Parses the `count` field lines that stand in `bytes` from `begin` to the end, with the empty line behind them
/// (RFC 9112, section 5). Names become lower case in place; names and values are slices of the bytes that are returned.
pub(crate) fn parse(mut bytes: BytesMut, begin: usize, count: usize) -> Result<(Bytes, Fields), HeadError> {
    lower_names(&mut bytes[begin..]);
    let bytes = bytes.freeze();
    let fields = match count {
        0 => Fields::new(),
        // Empty slots cost time to make.
        1..=FEW => parse_into(&bytes, begin, &mut [EMPTY_HEADER; FEW])?,
        _ => parse_into(&bytes, begin, &mut [EMPTY_HEADER; MAX])?,
    };
    Ok((bytes, fields))
}

fn lower_names(mut lines: &mut [u8]) {
    while let Some(colon) = memchr(b':', lines) {
        lines[..colon].make_ascii_lowercase();
        lines = &mut lines[colon..];
        let Some(lf) = memchr(b'\n', lines) else { return };
        lines = &mut lines[lf + 1..];
    }
}

fn parse_into<'b>(bytes: &'b Bytes, begin: usize, slots: &mut [Header<'b>]) -> Result<Fields, HeadError> {
    let section = &bytes[begin..];
    match httparse::parse_headers(section, slots) {
        Ok(Status::Complete((end, headers))) if end == section.len() => Ok(collect(bytes, headers)),
        Ok(_) => Err(HeadError::Malformed("field")),
        Err(httparse::Error::HeaderName) => Err(HeadError::Malformed("field name")),
        Err(httparse::Error::HeaderValue) => Err(HeadError::Malformed("field value")),
        Err(_) => Err(HeadError::Malformed("field")),
    }
}

fn collect(bytes: &Bytes, headers: &[Header<'_>]) -> Fields {
    let mut fields = Fields::with_capacity(headers.len());
    for header in headers {
        fields.push(bytes.slice_ref(header.name.as_bytes()), bytes.slice_ref(header.value));
    }
    fields
}
