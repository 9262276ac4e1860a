use bytes::Bytes;

/// Bytes as a source of choices. Once they are used up every choice is the first one, so each input is a finite story.
#[derive(Debug)]
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `bound`, which is at most 256 and not 0.
    pub(crate) fn choice(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound
    }

    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    /// A length up to `max`, short ones more often.
    pub(crate) fn len(&mut self, max: usize) -> usize {
        let class = self.byte();
        let len = match class {
            0..=127 => usize::from(class & 15),
            128..=191 => usize::from(self.byte()),
            _ => usize::from(self.u16()),
        };
        len.min(max)
    }

    /// So many bytes, or what is left.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes behind their length.
    pub(crate) fn bytes(&mut self, max: usize) -> &'a [u8] {
        let len = self.len(max);
        self.take(len)
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

/// Pieces that a row is cut into at most.
const PIECES: usize = 1024;

/// `data` in pieces whose lengths `cuts` gives, over and over; some are empty.
pub(crate) fn pieces(data: &[u8], cuts: &[u8]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(data);
    let mut pieces = Vec::new();
    if cuts.iter().all(|cut| *cut == 0) {
        return vec![rest];
    }
    for cut in cuts.iter().cycle() {
        if rest.is_empty() || pieces.len() == PIECES {
            break;
        }
        pieces.push(rest.split_to(usize::from(*cut).min(rest.len())));
    }
    pieces.push(rest);
    pieces
}
