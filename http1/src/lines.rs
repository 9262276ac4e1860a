use std::ops::Range;

use memchr::memchr;

use crate::HeadError;

/// What ends a line (RFC 9112, section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineEnds {
    /// CR LF. Whoever takes a bare LF from a client sees lines that the next one in the chain may not see.
    Strict,
    /// A bare LF as well, which old services send.
    Lenient,
}

/// The lines at the beginning of a growing buffer. Each byte is looked at once, however the bytes arrive.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    ends: LineEnds,
    /// Where the next line begins.
    begin: usize,
    /// So many bytes were looked at. No line ends between `begin` and here.
    scanned: usize,
    #[cfg(test)]
    pub(crate) looked_at: usize,
}

impl Lines {
    pub(crate) fn new(ends: LineEnds) -> Self {
        Self {
            ends,
            begin: 0,
            scanned: 0,
            #[cfg(test)]
            looked_at: 0,
        }
    }

    /// Where the next line would begin.
    pub(crate) fn position(&self) -> usize {
        self.begin
    }

    /// The next whole line of `bytes` without its end.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, HeadError> {
        let new = bytes.get(self.scanned..).unwrap_or_default();
        let found = memchr(b'\n', new);
        let looked_at = found.map_or(new.len(), |at| at + 1);
        self.scanned += looked_at;
        #[cfg(test)]
        {
            self.looked_at += looked_at;
        }
        found.map(|_| self.on_line(bytes)).transpose()
    }

    fn on_line(&mut self, bytes: &[u8]) -> Result<Range<usize>, HeadError> {
        let begin = std::mem::replace(&mut self.begin, self.scanned);
        let lf = self.scanned - 1;
        match bytes[begin..lf].last() {
            Some(b'\r') => Ok(begin..lf - 1),
            _ if self.ends == LineEnds::Lenient => Ok(begin..lf),
            _ => Err(HeadError::Malformed("line end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(ends: LineEnds, text: &[u8]) -> Result<Vec<&[u8]>, HeadError> {
        let mut lines = Lines::new(ends);
        let mut found = Vec::new();
        while let Some(line) = lines.next(text)? {
            found.push(&text[line]);
        }
        Ok(found)
    }

    #[test]
    fn a_bare_lf_ends_a_line_for_the_lenient_only() {
        assert_eq!(lines(LineEnds::Strict, b"a\r\n\r\nb").unwrap(), [&b"a"[..], b""]);
        assert_eq!(lines(LineEnds::Lenient, b"a\nb\r\n\n").unwrap(), [&b"a"[..], b"b", b""]);
        assert!(lines(LineEnds::Strict, b"a\nb\r\n").is_err());
        assert!(lines(LineEnds::Strict, b"\n").is_err());
    }

    #[test]
    fn each_byte_is_looked_at_once() {
        let text = b"GET / HTTP/1.1\r\nhost: a\r\n\r\nunfinished";
        let mut lines = Lines::new(LineEnds::Strict);
        for end in 0..=text.len() {
            while lines.next(&text[..end]).unwrap().is_some() {}
        }
        assert_eq!(lines.looked_at, text.len());
    }
}
