use bytes::BytesMut;
use proto::Fields;

use crate::{
    BodyLength,
    chunk::{self, CRLF},
};

/// Writes what stands around the data of a body, and holds the data to the length that the head told.
#[derive(Clone, Debug)]
pub struct BodyWriter(Rest);

#[derive(Clone, Copy, Debug)]
enum Rest {
    Exactly(u64),
    Chunked,
    UntilClose,
}

/// A body that is longer or shorter than its head told. The connection must not be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongLength {
    /// There is more data than was told.
    #[error("the body is longer than its head told")]
    TooLong,
    /// The body ends before all data that was told.
    #[error("the body is shorter than its head told")]
    TooShort,
}

impl BodyWriter {
    /// A writer at the beginning of a body.
    pub fn new(length: BodyLength) -> Self {
        Self(match length {
            BodyLength::Empty => Rest::Exactly(0),
            BodyLength::Exactly(length) => Rest::Exactly(length),
            BodyLength::Chunked => Rest::Chunked,
            BodyLength::UntilClose => Rest::UntilClose,
        })
    }

    /// Appends to `out` what stands before the next `size` bytes of data, and returns what stands behind them. Of no
    /// data nothing is said.
    ///
    /// # Errors
    /// [`WrongLength::TooLong`]. Nothing is appended then.
    pub fn data(&mut self, out: &mut BytesMut, size: usize) -> Result<&'static [u8], WrongLength> {
        let size = size as u64;
        match &mut self.0 {
            Rest::Exactly(rest) => {
                *rest = rest.checked_sub(size).ok_or(WrongLength::TooLong)?;
                Ok(b"")
            }
            Rest::Chunked if size > 0 => {
                chunk::write_size(out, size);
                Ok(CRLF)
            }
            Rest::Chunked | Rest::UntilClose => Ok(b""),
        }
    }

    /// Appends the end of the body. Trailers are lost unless it is chunked (RFC 9110, section 6.5).
    ///
    /// # Errors
    /// [`WrongLength::TooShort`].
    pub fn end(self, out: &mut BytesMut, trailers: Option<&Fields>) -> Result<(), WrongLength> {
        match self.0 {
            Rest::Exactly(0) | Rest::UntilClose => Ok(()),
            Rest::Exactly(_) => Err(WrongLength::TooShort),
            Rest::Chunked => {
                chunk::write_last(out, trailers);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_held_to_its_length() {
        let mut out = BytesMut::new();
        let mut writer = BodyWriter::new(BodyLength::Exactly(5));
        assert_eq!(writer.data(&mut out, 3), Ok(&b""[..]));
        assert_eq!(writer.data(&mut out, 3), Err(WrongLength::TooLong));
        assert_eq!(writer.clone().end(&mut out, None), Err(WrongLength::TooShort));
        assert_eq!(writer.data(&mut out, 2), Ok(&b""[..]));
        assert_eq!(writer.end(&mut out, None), Ok(()));
        assert!(out.is_empty());
        assert_eq!(BodyWriter::new(BodyLength::Empty).data(&mut out, 1), Err(WrongLength::TooLong));
    }

    #[test]
    fn chunks_have_a_line_before_and_behind_them() {
        let mut out = BytesMut::new();
        let mut writer = BodyWriter::new(BodyLength::Chunked);
        let behind = writer.data(&mut out, 0x1f).unwrap();
        assert_eq!((&out[..], behind), (&b"1f\r\n"[..], CRLF));
        assert_eq!(writer.data(&mut out, 0), Ok(&b""[..]));
        writer.end(&mut out, None).unwrap();
        assert_eq!(out, "1f\r\n0\r\n\r\n");
    }

    #[test]
    fn a_body_that_ends_with_the_connection_is_written_bare() {
        let mut out = BytesMut::new();
        let mut writer = BodyWriter::new(BodyLength::UntilClose);
        assert_eq!(writer.data(&mut out, 9), Ok(&b""[..]));
        writer.end(&mut out, Some(&Fields::new())).unwrap();
        assert!(out.is_empty());
    }
}
