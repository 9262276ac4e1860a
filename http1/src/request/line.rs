use std::ops::Range;

use memchr::memchr;
use proto::fields::is_token;

use crate::{HeadError, Limits, Version};

/// Bytes of a method. The longest that is registered has 17.
const MAX_METHOD: usize = 64;
const VERSION: usize = "HTTP/1.1".len();

/// Where the parts of a request line stand (RFC 9112, section 3).
#[derive(Clone, Debug)]
pub(super) struct RequestLine {
    pub(super) method: Range<usize>,
    pub(super) target: Range<usize>,
    pub(super) version: Version,
}

impl RequestLine {
    /// Parses a whole line: one space and no more between its three parts.
    pub(super) fn parse(line: &[u8], limits: &Limits) -> Result<Self, HeadError> {
        let method = method(line)?.ok_or(HeadError::Malformed("request line"))?;
        let target = target(line, method.end + 1)?;
        if target.len() > limits.target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        let version = Version::parse(&line[target.end + 1..])?;
        if !is_target(&line[target.clone()]) {
            return Err(HeadError::Malformed("request target"));
        }
        Ok(Self { method, target, version })
    }
}

/// Refuses the beginning of a line that cannot become one: another protocol, or no end in sight.
pub(super) fn check_beginning(line: &[u8], limits: &Limits) -> Result<(), HeadError> {
    // The first half of an empty line.
    if line.is_empty() || line == b"\r" {
        return Ok(());
    }
    let Some(method) = method(line)? else { return Ok(()) };
    if line.len() - method.end > limits.target_bytes + VERSION + "  \r".len() {
        return Err(HeadError::TargetTooLong);
    }
    Ok(())
}

/// Whether `text` may stand as a request target: UTF-8 without spaces and control characters. What form it has is not
/// asked.
pub fn is_target(text: &[u8]) -> bool {
    let visible = text.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
    visible && !text.is_empty() && std::str::from_utf8(text).is_ok()
}

/// The method, if the space behind it is there.
fn method(line: &[u8]) -> Result<Option<Range<usize>>, HeadError> {
    let beginning = &line[..line.len().min(MAX_METHOD + 1)];
    let end = memchr(b' ', beginning);
    let method = &beginning[..end.unwrap_or(beginning.len())];
    if method.len() > MAX_METHOD || !is_token(method) {
        return Err(HeadError::Malformed("method"));
    }
    Ok(end.map(|end| 0..end))
}

fn target(line: &[u8], begin: usize) -> Result<Range<usize>, HeadError> {
    let end = line[begin..].iter().rposition(|byte| *byte == b' ');
    end.map(|end| begin..begin + end).ok_or(HeadError::Malformed("request line"))
}
