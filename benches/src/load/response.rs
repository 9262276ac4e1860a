use super::LoadError;

/// The head of a response, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Body bytes.
    pub(super) length: u64,
    /// Where in the buffer the body begins.
    pub(super) end: usize,
}

const BLANK_LINE: &[u8] = b"\r\n\r\n";

impl Head {
    /// Reads a head at the begin of `bytes`; `None` if its end is not there yet.
    ///
    /// # Errors
    /// [`LoadError::Response`] if it is none, or one without `content-length`: every response in a bench has it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, LoadError> {
        let Some(end) = bytes.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE) else {
            return Ok(None);
        };
        let mut lines = bytes[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status = lines.next().and_then(status).ok_or(LoadError::Response("no status line"))?;
        let length = lines.find_map(content_length).ok_or(LoadError::Response("no content-length"))?;
        Ok(Some(Self { status, length, end: end + BLANK_LINE.len() }))
    }
}

fn status(line: &[u8]) -> Option<u16> {
    number(line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?)
}

fn content_length(line: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    name.eq_ignore_ascii_case(NAME).then(|| number(value.trim_ascii()))?
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let bytes = b"HTTP/1.1 200 OK\r\nx: y\r\nContent-Length: 12\r\ndate: now\r\n\r\nbody";
        for cut in 0..bytes.len() - 4 {
            assert_eq!(Head::parse(&bytes[..cut]).unwrap(), None);
        }
        let head = Head { status: 200, length: 12, end: bytes.len() - 4 };
        assert_eq!(Head::parse(bytes).unwrap(), Some(head));
    }

    #[test]
    fn anything_else_is_an_error() {
        for bytes in ["\r\n\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"] {
            assert!(Head::parse(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
