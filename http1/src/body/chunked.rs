use bytes::{Buf, BytesMut};

use super::{BodyError, Read, take};
use crate::{Limits, lines::LineEnds, scanner::SectionScanner};

/// A chunked body (RFC 9112, section 7.1), strictly: what one parser forgives is where another one sees a second request.
///
/// ```text
///            .-----------------------------------------------.
///            v                                               |
///  Begin -> Size -> Extension -> SizeLf --size > 0--> Data -> DataCr -> DataLf
///                                   '----size = 0--> Trailers
/// ```
#[derive(Clone, Debug)]
pub(super) struct Chunked {
    state: State,
    /// Bytes of extensions that may still come.
    extensions: usize,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum State {
    /// Before a size, of which `digits` are there.
    Size { size: u64, digits: u8 },
    /// Behind the digits of a size, before CR.
    Extension { size: u64, begun: bool },
    /// Between CR and LF of a size line.
    SizeLf { size: u64 },
    /// So many bytes of the chunk are missing; never 0.
    Data { missing: u64 },
    /// Behind the data of a chunk.
    DataCr,
    /// Between CR and LF behind the data of a chunk.
    DataLf,
    /// Behind the last chunk.
    Trailers(SectionScanner),
}

/// Sixteen digits cannot overflow.
const MAX_DIGITS: u8 = 16;

const BEGIN: State = State::Size { size: 0, digits: 0 };

impl Chunked {
    pub(super) fn new(limits: Limits) -> Self {
        Self { state: BEGIN, extensions: limits.chunk_extension_bytes, limits }
    }

    pub(super) fn read(&mut self, buffer: &mut BytesMut, max: usize) -> Result<Read, BodyError> {
        self.pass_lines(buffer)?;
        match &mut self.state {
            State::Data { missing } => {
                let read = take(buffer, missing, max);
                if *missing == 0 {
                    self.state = State::DataCr;
                }
                Ok(read)
            }
            State::Trailers(scanner) => {
                read_trailers(scanner, buffer, &self.limits).map_err(BodyError::Trailers)
            }
            _ => Ok(Read::NeedInput),
        }
    }

    /// Passes over what stands between data and data.
    fn pass_lines(&mut self, buffer: &mut BytesMut) -> Result<(), BodyError> {
        let mut passed = 0;
        for byte in buffer.iter() {
            if matches!(self.state, State::Data { .. } | State::Trailers(_)) {
                break;
            }
            self.on_byte(*byte)?;
            passed += 1;
        }
        buffer.advance(passed);
        Ok(())
    }

    fn on_byte(&mut self, byte: u8) -> Result<(), BodyError> {
        self.state = match (&self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                next_digit(*size, *digits, byte)?
            }
            (State::Size { size, digits: 1.. }, _) => self.behind_size(*size, false, byte)?,
            (State::Extension { size, begun }, _) => self.behind_size(*size, *begun, byte)?,
            (State::SizeLf { size: 0 }, b'\n') => State::Trailers(SectionScanner::new(LineEnds::Strict)),
            (State::SizeLf { size }, b'\n') => State::Data { missing: *size },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => BEGIN,
            (State::DataCr | State::DataLf, _) => return Err(BodyError::ChunkEnd),
            _ => return Err(BodyError::ChunkSize),
        };
        Ok(())
    }

    /// Extensions begin with a semicolon; only padding may stand before it. What they say is nobody's business.
    fn behind_size(&mut self, size: u64, begun: bool, byte: u8) -> Result<State, BodyError> {
        let begun = match byte {
            b'\r' => return Ok(State::SizeLf { size }),
            b';' => true,
            b' ' | b'\t' => begun,
            0x21..=0x7e | 0x80.. if begun => true,
            _ => return Err(BodyError::ChunkSize),
        };
        self.extensions = self.extensions.checked_sub(1).ok_or(BodyError::ExtensionsTooLong)?;
        Ok(State::Extension { size, begun })
    }
}

fn next_digit(size: u64, digits: u8, byte: u8) -> Result<State, BodyError> {
    let digit = char::from(byte).to_digit(16).ok_or(BodyError::ChunkSize)?;
    if digits == MAX_DIGITS {
        return Err(BodyError::ChunkSize);
    }
    Ok(State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 })
}

fn read_trailers(
    scanner: &mut SectionScanner,
    buffer: &mut BytesMut,
    limits: &Limits,
) -> Result<Read, crate::HeadError> {
    let section = scanner.take(buffer, limits.trailer_bytes, limits.fields)?;
    Ok(match section {
        None => Read::NeedInput,
        Some((_, fields)) if fields.is_empty() => Read::End(None),
        Some((_, fields)) => Read::End(Some(fields)),
    })
}
