use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use proto::Fields;

use crate::{
    HeadError, fields,
    lines::{LineEnds, Lines},
};

/// Empty lines that are skipped before a start line. RFC 9112, section 2.2 asks for one.
const MAX_EMPTY_LINES: usize = 4;

/// Finds the end of a head: a start line, field lines, an empty line.
#[derive(Clone, Debug)]
pub(crate) struct HeadScanner {
    ends: LineEnds,
    section: SectionScanner,
    empty_lines: usize,
}

impl HeadScanner {
    pub(crate) fn new(ends: LineEnds) -> Self {
        Self { ends, section: SectionScanner::new(ends), empty_lines: 0 }
    }

    /// The start line, if all of it is there. Empty lines before it are taken off the buffer. To be asked for until
    /// there is one.
    pub(crate) fn start_line(&mut self, buffer: &mut BytesMut) -> Result<Option<Range<usize>>, HeadError> {
        while let Some(line) = self.section.lines.next(buffer)? {
            if !line.is_empty() {
                return Ok(Some(line));
            }
            self.on_empty_line(buffer)?;
        }
        Ok(None)
    }

    fn on_empty_line(&mut self, buffer: &mut BytesMut) -> Result<(), HeadError> {
        buffer.advance(self.section.lines.position());
        self.section = SectionScanner::new(self.ends);
        self.empty_lines += 1;
        if self.empty_lines > MAX_EMPTY_LINES {
            return Err(HeadError::Malformed("empty lines"));
        }
        Ok(())
    }

    /// The head and its fields, off the buffer, if all of it is there. To be asked for behind the start line; begins
    /// anew when it has been given out.
    pub(crate) fn head(
        &mut self,
        buffer: &mut BytesMut,
        max_bytes: usize,
        max_fields: usize,
    ) -> Result<Option<(Bytes, Fields)>, HeadError> {
        let whole = self.section.take(buffer, max_bytes, max_fields)?;
        if whole.is_some() {
            *self = Self::new(self.ends);
        }
        Ok(whole)
    }

    #[cfg(test)]
    pub(crate) fn looked_at(&self) -> usize {
        self.section.lines.looked_at
    }
}

/// Finds the end of field lines: an empty line.
#[derive(Clone, Debug)]
pub(crate) struct SectionScanner {
    lines: Lines,
    /// Where the field lines begin, once the first of them was looked for.
    begin: Option<usize>,
    fields: usize,
}

impl SectionScanner {
    pub(crate) fn new(ends: LineEnds) -> Self {
        Self { lines: Lines::new(ends), begin: None, fields: 0 }
    }

    /// Everything up to the end of the section and the fields in it, off the buffer, if all of it is there.
    pub(crate) fn take(
        &mut self,
        buffer: &mut BytesMut,
        max_bytes: usize,
        max_fields: usize,
    ) -> Result<Option<(Bytes, Fields)>, HeadError> {
        let begin = *self.begin.get_or_insert(self.lines.position());
        let whole = self.find_end(buffer, max_fields)?;
        // As long as the end is not there, all that is there belongs to it.
        if whole.unwrap_or(buffer.len()) > max_bytes {
            return Err(HeadError::TooLarge);
        }
        whole.map(|end| fields::parse(buffer.split_to(end), begin, self.fields)).transpose()
    }

    fn find_end(&mut self, bytes: &[u8], max_fields: usize) -> Result<Option<usize>, HeadError> {
        while let Some(line) = self.lines.next(bytes)? {
            if line.is_empty() {
                return Ok(Some(self.lines.position()));
            }
            self.fields += 1;
            if self.fields > max_fields.min(fields::MAX) {
                return Err(HeadError::TooManyFields);
            }
        }
        Ok(None)
    }
}
