use std::ops::Range;

use proto::fields::is_field_value;

use crate::{HeadError, Version};

/// Bytes of a reason phrase.
const MAX_REASON: usize = 1024;

/// What a status line says (RFC 9112, section 4).
#[derive(Clone, Debug)]
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: Range<usize>,
}

impl StatusLine {
    /// Parses a whole line. The space before a reason phrase that is not there may be missing too.
    pub(super) fn parse(line: &[u8]) -> Result<Self, HeadError> {
        let malformed = HeadError::Malformed("status line");
        let (version, rest) = line.split_at_checked(8).ok_or(malformed)?;
        let version = Version::parse(version)?;
        let (status, reason) = match rest {
            [b' ', a, b, c] => (status([*a, *b, *c]), line.len()),
            [b' ', a, b, c, b' ', reason @ ..] => (status([*a, *b, *c]), line.len() - reason.len()),
            _ => return Err(malformed),
        };
        if !is_reason(&line[reason..]) {
            return Err(HeadError::Malformed("reason phrase"));
        }
        Ok(Self { version, status: status.ok_or(malformed)?, reason: reason..line.len() })
    }
}

/// Whether `text` may stand as a reason phrase: no control character but the tab, and not endless.
pub fn is_reason(text: &[u8]) -> bool {
    text.len() <= MAX_REASON && is_field_value(text)
}

/// Refuses the beginning of a line that cannot become one: another protocol.
pub(super) fn check_beginning(line: &[u8]) -> Result<(), HeadError> {
    const BEGINNING: &[u8] = b"HTTP/";
    let known = line.len().min(BEGINNING.len());
    // The first half of an empty line.
    if line == b"\r" || line[..known] == BEGINNING[..known] {
        bounded(line)
    } else {
        Err(HeadError::Malformed("status line"))
    }
}

fn bounded(line: &[u8]) -> Result<(), HeadError> {
    const MAX_LINE: usize = "HTTP/1.1 200 ".len() + MAX_REASON + "\r".len();
    (line.len() <= MAX_LINE).then_some(()).ok_or(HeadError::Malformed("status line"))
}

fn status(digits: [u8; 3]) -> Option<u16> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    (status >= 100).then_some(status)
}
