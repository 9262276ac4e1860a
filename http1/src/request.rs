use std::fmt;

use bytes::{Bytes, BytesMut};
use proto::Fields;

use crate::{
    BodyLength, Expectation, HeadError, Limits, Version, declared::Declared, lines::LineEnds,
    scanner::HeadScanner,
};
use line::RequestLine;

mod line;

pub use line::is_target;

/// Finds and parses the heads of requests, one after the other, in a buffer that grows.
///
/// The buffer is the caller's, and only grows at its end between two calls. Bodies between heads are the caller's too:
/// see [`BodyReader`](crate::BodyReader). After an error there is nothing but that error.
#[derive(Clone, Debug)]
pub struct RequestParser {
    limits: Limits,
    scanner: HeadScanner,
    line: Option<RequestLine>,
    refused: Option<HeadError>,
}

impl RequestParser {
    /// A parser that stands before a request.
    pub fn new(limits: Limits) -> Self {
        Self { limits, scanner: HeadScanner::new(LineEnds::Strict), line: None, refused: None }
    }

    /// Takes the next head off the buffer, or says that it is not all there yet. A call costs no more than the bytes
    /// that are new.
    ///
    /// A head that is not whole stays in the buffer: as long as that is empty, none has begun. A whole one shares the
    /// buffer's memory, and keeps it as long as any slice of it is in use.
    ///
    /// # Errors
    /// [`HeadError`] as soon as what is there cannot become a head that is accepted.
    pub fn parse(&mut self, buffer: &mut BytesMut) -> Result<Option<RequestHead>, HeadError> {
        let parsed = match self.refused {
            Some(error) => Err(error),
            None => self.parse_next(buffer),
        };
        self.refused = parsed.as_ref().err().copied();
        parsed
    }

    fn parse_next(&mut self, buffer: &mut BytesMut) -> Result<Option<RequestHead>, HeadError> {
        if self.line.is_none() {
            self.line = self.parse_line(buffer)?;
        }
        let Some(line) = &self.line else { return Ok(None) };
        let Limits { head_bytes, fields, .. } = self.limits;
        let Some((bytes, fields)) = self.scanner.head(buffer, head_bytes, fields)? else { return Ok(None) };
        let head = RequestHead::new(&bytes, line, fields)?;
        self.line = None;
        Ok(Some(head))
    }

    fn parse_line(&mut self, buffer: &mut BytesMut) -> Result<Option<RequestLine>, HeadError> {
        match self.scanner.start_line(buffer)? {
            Some(line) => RequestLine::parse(&buffer[line], &self.limits).map(Some),
            None => line::check_beginning(buffer, &self.limits).map(|()| None),
        }
    }
}

/// The head of a request. All of its bytes are slices of one piece of memory.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, a token; case matters.
    pub method: Bytes,
    /// The target as it was sent: UTF-8, without spaces and control characters, in any form (RFC 9112, section 3.2).
    pub target: Bytes,
    /// The version that the client speaks.
    pub version: Version,
    /// All fields in order, those of this hop too.
    pub fields: Fields,
    /// Where the body ends. Never [`BodyLength::UntilClose`].
    pub body: BodyLength,
    /// Whether the connection may be used again (RFC 9112, section 9.3).
    pub keep_alive: bool,
    /// What is expected before the body is sent.
    pub expectation: Expectation,
    /// The protocols that the client would rather speak, on HTTP/1.1 and if `connection` names them too.
    pub upgrade: Option<Bytes>,
}

impl RequestHead {
    fn new(bytes: &Bytes, line: &RequestLine, fields: Fields) -> Result<Self, HeadError> {
        let declared = Declared::read(&fields, line.version)?;
        Ok(Self {
            method: bytes.slice(line.method.clone()),
            target: bytes.slice(line.target.clone()),
            version: line.version,
            body: body_length(&declared)?,
            keep_alive: declared.keep_alive,
            expectation: declared.expectation,
            upgrade: declared.upgrade,
            fields,
        })
    }
}

/// RFC 9112, section 6.3, for requests.
fn body_length(declared: &Declared) -> Result<BodyLength, HeadError> {
    match (declared.chunked, declared.content_length) {
        (true, Some(_)) => Err(HeadError::ConflictingFraming),
        (true, None) => Ok(BodyLength::Chunked),
        (false, Some(length)) => Ok(BodyLength::Exactly(length)),
        (false, None) => Ok(BodyLength::Empty),
    }
}

/// Without the target: its query may be secret.
impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("version", &self.version)
            .field("fields", &self.fields)
            .field("body", &self.body)
            .field("keep_alive", &self.keep_alive)
            .field("expectation", &self.expectation)
            .field("upgrade", &self.upgrade)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
