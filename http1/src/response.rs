use std::fmt;

use bytes::{Bytes, BytesMut};
use proto::Fields;

use crate::{
    BodyLength, HeadError, Limits, Version, declared::Declared, lines::LineEnds, scanner::HeadScanner,
};
use line::StatusLine;

mod line;

pub use line::is_reason;

/// What a response answers, since that decides where it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The method was HEAD.
    pub head: bool,
    /// The request asked for another protocol.
    pub upgrade: bool,
}

/// Finds and parses the heads of responses, interim ones too, in a buffer that grows.
///
/// The buffer is the caller's, and only grows at its end between two calls. After an error there is nothing but
/// that error. More lenient than the parser for requests in one thing: a bare LF ends a line, as RFC 9112, section 2.2
/// allows, because old services send it.
#[derive(Clone, Debug)]
pub struct ResponseParser {
    limits: Limits,
    scanner: HeadScanner,
    line: Option<StatusLine>,
    refused: Option<HeadError>,
}

impl ResponseParser {
    /// A parser that stands before a response.
    pub fn new(limits: Limits) -> Self {
        Self { limits, scanner: HeadScanner::new(LineEnds::Lenient), line: None, refused: None }
    }

    /// Takes the next head off the buffer, or says that it is not all there yet. A call costs no more than the bytes
    /// that are new.
    ///
    /// A head that is not whole stays in the buffer: as long as that is empty, none has begun. A whole one shares the
    /// buffer's memory, and keeps it as long as any slice of it is in use.
    ///
    /// # Errors
    /// [`HeadError`] as soon as what is there cannot become a head that is accepted.
    pub fn parse(&mut self, buffer: &mut BytesMut, asked: Asked) -> Result<Option<ResponseHead>, HeadError> {
        let parsed = match self.refused {
            Some(error) => Err(error),
            None => self.parse_next(buffer, asked),
        };
        self.refused = parsed.as_ref().err().copied();
        parsed
    }

    fn parse_next(&mut self, buffer: &mut BytesMut, asked: Asked) -> Result<Option<ResponseHead>, HeadError> {
        if self.line.is_none() {
            self.line = self.parse_line(buffer)?;
        }
        let Some(line) = &self.line else { return Ok(None) };
        let Limits { head_bytes, fields, .. } = self.limits;
        let Some((bytes, fields)) = self.scanner.head(buffer, head_bytes, fields)? else { return Ok(None) };
        let head = ResponseHead::new(&bytes, line, fields, asked)?;
        self.line = None;
        Ok(Some(head))
    }

    fn parse_line(&mut self, buffer: &mut BytesMut) -> Result<Option<StatusLine>, HeadError> {
        match self.scanner.start_line(buffer)? {
            Some(line) => StatusLine::parse(&buffer[line]).map(Some),
            None => line::check_beginning(buffer).map(|()| None),
        }
    }
}

/// The head of a response. All of its bytes are slices of one piece of memory.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// The version that the service speaks.
    pub version: Version,
    /// From 100 to 999.
    pub status: u16,
    /// The reason phrase as it was sent, often empty.
    pub reason: Bytes,
    /// All fields in order, those of this hop too.
    pub fields: Fields,
    /// Where the body ends. [`BodyLength::Empty`] if the status or the request's method forbids one.
    pub body: BodyLength,
    /// The number in `content-length`, even if no body follows: HEAD and 304 tell it of another response.
    pub content_length: Option<u64>,
    /// Whether the connection may be used again once the body has ended (RFC 9112, section 9.3).
    pub keep_alive: bool,
    /// The protocols in `upgrade`, on HTTP/1.1 and if `connection` names them too.
    pub upgrade: Option<Bytes>,
}

impl ResponseHead {
    fn new(bytes: &Bytes, line: &StatusLine, fields: Fields, asked: Asked) -> Result<Self, HeadError> {
        let declared = Declared::read(&fields, line.version)?;
        let body = body_length(&declared, line.status, asked)?;
        if line.status == 101 && !(asked.upgrade && declared.upgrade.is_some()) {
            return Err(HeadError::UnexpectedSwitch);
        }
        Ok(Self {
            version: line.version,
            status: line.status,
            reason: bytes.slice(line.reason.clone()),
            body,
            content_length: declared.content_length,
            keep_alive: declared.keep_alive && body != BodyLength::UntilClose,
            upgrade: declared.upgrade,
            fields,
        })
    }

    /// Whether what follows on the connection is another protocol (RFC 9110, section 15.2.2).
    pub fn is_switching(&self) -> bool {
        self.status == 101
    }

    /// Whether another response to the same request follows (RFC 9110, section 15.2).
    pub fn is_interim(&self) -> bool {
        self.status < 200 && !self.is_switching()
    }
}

/// RFC 9112, section 6.3, for responses.
fn body_length(declared: &Declared, status: u16, asked: Asked) -> Result<BodyLength, HeadError> {
    if declared.is_ambiguous() {
        return Err(HeadError::ConflictingFraming);
    }
    if asked.head || matches!(status, 100..=199 | 204 | 304) {
        return Ok(BodyLength::Empty);
    }
    Ok(match declared.content_length {
        _ if declared.chunked => BodyLength::Chunked,
        Some(length) => BodyLength::Exactly(length),
        None => BodyLength::UntilClose,
    })
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("version", &self.version)
            .field("status", &self.status)
            .field("fields", &self.fields)
            .field("body", &self.body)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
