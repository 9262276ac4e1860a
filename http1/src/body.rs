use bytes::{Bytes, BytesMut};
use proto::Fields;

use crate::{BodyLength, HeadError, Limits};
use chunked::Chunked;

mod chunked;

/// Reads the body behind a head, as it arrives: data is never held back, and never copied.
#[derive(Clone, Debug)]
pub struct BodyReader(State);

#[derive(Clone, Debug)]
enum State {
    /// So many bytes are missing; never 0.
    Exactly(u64),
    Chunked(Chunked),
    UntilClose,
    End,
    Refused(BodyError),
}

/// What [`BodyReader::read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Nothing, until there are more bytes.
    NeedInput,
    /// Some data; never empty.
    Data(Bytes),
    /// The end, with the trailer section if there is one. Whether its fields may be merged or passed on is the caller's
    /// to judge (RFC 9110, section 6.5.1).
    End(Option<Fields>),
}

/// Why a body is not whole; the fault is its sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The line before a chunk is not what RFC 9112, section 7.1 describes.
    #[error("invalid chunk size")]
    ChunkSize,
    /// A chunk does not end where its size says.
    #[error("invalid end of a chunk")]
    ChunkEnd,
    /// More bytes than [`Limits::chunk_extension_bytes`].
    #[error("too many bytes of chunk extensions")]
    ExtensionsTooLong,
    /// The trailer section is malformed or too large.
    #[error("invalid trailer section")]
    Trailers(#[source] HeadError),
    /// The connection ended before the body.
    #[error("the connection ended in the middle of a body")]
    Truncated,
}

impl BodyReader {
    /// A reader at the beginning of a body.
    pub fn new(length: BodyLength, limits: &Limits) -> Self {
        Self(match length {
            BodyLength::Empty | BodyLength::Exactly(0) => State::End,
            BodyLength::Exactly(length) => State::Exactly(length),
            BodyLength::Chunked => State::Chunked(Chunked::new(*limits)),
            BodyLength::UntilClose => State::UntilClose,
        })
    }

    /// Takes the next piece of the body off the buffer, at most `max` bytes of data and at least one. What lies behind
    /// the body stays. Behind the end there is only the end.
    ///
    /// # Errors
    /// [`BodyError`] for chunks that are not. There is nothing but that error then.
    pub fn read(&mut self, buffer: &mut BytesMut, max: usize) -> Result<Read, BodyError> {
        let read = match &mut self.0 {
            State::Exactly(missing) => Ok(take(buffer, missing, max)),
            State::Chunked(chunked) => chunked.read(buffer, max),
            State::UntilClose => Ok(take(buffer, &mut { u64::MAX }, max)),
            State::End => Ok(Read::End(None)),
            State::Refused(error) => Err(*error),
        };
        match (&read, &self.0) {
            (Err(error), _) => self.0 = State::Refused(*error),
            (Ok(Read::End(_)), _) | (_, State::Exactly(0)) => self.0 = State::End,
            _ => {}
        }
        read
    }

    /// Whether all of the body was read. True at once if there is none.
    pub fn is_end(&self) -> bool {
        matches!(self.0, State::End)
    }

    /// The connection has ended, and all that came was read.
    ///
    /// # Errors
    /// [`BodyError::Truncated`], unless the body was at its end or ends this way.
    pub fn eof(&self) -> Result<(), BodyError> {
        match self.0 {
            State::End | State::UntilClose => Ok(()),
            State::Exactly(_) | State::Chunked(_) => Err(BodyError::Truncated),
            State::Refused(error) => Err(error),
        }
    }
}

/// Takes data off the buffer: no more than is `missing`, nor than `max`.
fn take(buffer: &mut BytesMut, missing: &mut u64, max: usize) -> Read {
    let size = buffer.len().min(max.max(1)).min(usize::try_from(*missing).unwrap_or(usize::MAX));
    if size == 0 {
        return Read::NeedInput;
    }
    *missing -= size as u64;
    Read::Data(buffer.split_to(size).freeze())
}

#[cfg(test)]
mod tests;
