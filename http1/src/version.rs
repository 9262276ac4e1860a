use crate::HeadError;

/// The version of a message (RFC 9112, section 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: no chunks, and connections close unless both ends say otherwise.
    H10,
    /// HTTP/1.1.
    #[default]
    H11,
}

impl Version {
    /// The version as it is written.
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::H10 => b"HTTP/1.0",
            Self::H11 => b"HTTP/1.1",
        }
    }

    pub(crate) fn parse(text: &[u8]) -> Result<Self, HeadError> {
        match text {
            b"HTTP/1.1" => Ok(Self::H11),
            b"HTTP/1.0" => Ok(Self::H10),
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
                Err(HeadError::UnsupportedVersion)
            }
            _ => Err(HeadError::Malformed("HTTP version")),
        }
    }
}
