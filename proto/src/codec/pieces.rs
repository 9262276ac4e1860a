use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

/// Bytes that stand in several places and leave as one row, without having been copied together.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    /// Empty only if there is nothing left.
    front: Bytes,
    rest: VecDeque<Bytes>,
    len: usize,
}

impl Pieces {
    /// Adds to the end.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if self.front.is_empty() {
            self.front = piece;
        } else if !piece.is_empty() {
            self.rest.push_back(piece);
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self { len: bytes.len(), front: bytes, rest: VecDeque::new() }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        &self.front
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "cannot advance past the end");
        self.len -= count;
        while count >= self.front.len() && count > 0 {
            count -= self.front.len();
            self.front = self.rest.pop_front().unwrap_or_default();
        }
        self.front.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = std::iter::once(&self.front).chain(&self.rest).filter(|piece| !piece.is_empty());
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_read_like_one_row(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..10),
            steps in prop::collection::vec(0usize..80, 0..30),
        ) {
            let whole = pieces.concat();
            let mut row = Pieces::default();
            pieces.into_iter().for_each(|piece| row.push(piece.into()));
            let mut read = Vec::new();
            for step in steps.into_iter().chain([usize::MAX]) {
                prop_assert_eq!(row.remaining(), whole.len() - read.len());
                prop_assert_eq!(row.chunk().is_empty(), row.is_empty());
                let mut slices = [IoSlice::new(&[]); 16];
                let filled = row.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                prop_assert_eq!(&seen, &whole[read.len()..]);
                let step = step.min(row.remaining());
                read.extend_from_slice(&seen[..step]);
                row.advance(step);
            }
            prop_assert_eq!(read, whole);
        }
    }
}
