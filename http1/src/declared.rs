use bytes::Bytes;
use proto::Fields;

use crate::{HeadError, Version};

/// What a request expects before it sends its body (RFC 9110, section 10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expectation {
    /// Nothing.
    #[default]
    None,
    /// An interim response that asks for the body.
    Continue,
    /// Something that nobody knows; the answer may be 417.
    Unknown,
}

/// What the fields of a head say about this hop, read in one pass. What HTTP/1.0 does not know is left out.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    pub(crate) content_length: Option<u64>,
    pub(crate) chunked: bool,
    pub(crate) keep_alive: bool,
    pub(crate) expectation: Expectation,
    /// The value of `upgrade`, if `connection` names it (RFC 9110, section 7.8).
    pub(crate) upgrade: Option<Bytes>,
}

impl Declared {
    pub(crate) fn read(fields: &Fields, version: Version) -> Result<Self, HeadError> {
        let mut declared = Self::default();
        let mut options = Options::default();
        let mut upgrades = Upgrades::None;
        for field in fields {
            match &field.name[..] {
                b"content-length" => declared.on_content_length(&field.value)?,
                b"transfer-encoding" => declared.on_transfer_encoding(&field.value, version)?,
                b"connection" => options.read(&field.value),
                b"expect" => declared.on_expect(&field.value),
                b"upgrade" => upgrades.add(&field.value),
                _ => {}
            }
        }
        declared.finish(options, upgrades, version);
        Ok(declared)
    }

    /// Whether both ways of framing a body are there.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.chunked && self.content_length.is_some()
    }

    /// A list of equal numbers is as good as one of them (RFC 9110, section 8.6).
    fn on_content_length(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for member in value.split(|byte| *byte == b',') {
            let length = parse_length(member.trim_ascii()).ok_or(HeadError::InvalidContentLength)?;
            if self.content_length.replace(length).is_some_and(|other| other != length) {
                return Err(HeadError::InvalidContentLength);
            }
        }
        Ok(())
    }

    /// `chunked`, once, and on HTTP/1.1. Every other text is one that some parser takes for chunked and another does
    /// not.
    fn on_transfer_encoding(&mut self, value: &[u8], version: Version) -> Result<(), HeadError> {
        if self.chunked || version == Version::H10 || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(HeadError::UnsupportedTransferCoding);
        }
        self.chunked = true;
        Ok(())
    }

    fn on_expect(&mut self, value: &[u8]) {
        let known = value.eq_ignore_ascii_case(b"100-continue") && self.expectation != Expectation::Unknown;
        self.expectation = if known { Expectation::Continue } else { Expectation::Unknown };
    }

    fn finish(&mut self, options: Options, upgrades: Upgrades, version: Version) {
        match version {
            Version::H11 => {
                self.keep_alive = !options.close;
                self.upgrade = upgrades.only().filter(|_| options.upgrade);
            }
            Version::H10 => {
                self.keep_alive = options.keep_alive && !options.close;
                self.expectation = Expectation::None;
            }
        }
    }
}

fn parse_length(digits: &[u8]) -> Option<u64> {
    // `u64::from_str` takes a sign.
    let text =
        std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    text.parse().ok()
}

/// The connection options that mean something here (RFC 9112, section 9).
#[derive(Debug, Default)]
struct Options {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

impl Options {
    fn read(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

/// The `upgrade` fields of a head. Whoever sends several is not understood, which is always allowed.
enum Upgrades {
    None,
    One(Bytes),
    Several,
}

impl Upgrades {
    fn add(&mut self, value: &Bytes) {
        *self = match self {
            Self::None => Self::One(value.clone()),
            _ => Self::Several,
        };
    }

    fn only(self) -> Option<Bytes> {
        match self {
            Self::One(value) if !value.is_empty() => Some(value),
            _ => None,
        }
    }
}
