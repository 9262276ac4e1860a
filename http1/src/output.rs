use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes, BytesMut};

/// Data up to this size is copied behind what stands before it: cheaper than one more piece of a vectored write.
const COPY: usize = 4 * 1024;

/// What waits for a connection: small things in one buffer, large data as it is, in order. One vectored write takes it all.
#[derive(Debug, Default)]
pub struct Output {
    /// In front of the tail.
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
}

impl Output {
    /// Appends what `write` appends to the buffer it is given.
    pub fn write(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let before = self.tail.len();
        write(&mut self.tail);
        self.length += self.tail.len() - before;
    }

    /// Appends data.
    pub fn push(&mut self, data: Bytes) {
        if data.len() <= COPY {
            return self.write(|tail| tail.extend_from_slice(&data));
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.length += data.len();
        self.pieces.push_back(data);
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.length
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&self.tail, |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let waiting = self.pieces.iter().map(|piece| &piece[..]).chain([&self.tail[..]]);
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(waiting.filter(|piece| !piece.is_empty())) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        self.length -= count;
        while let Some(piece) = self.pieces.front_mut() {
            if count < piece.len() {
                return piece.advance(count);
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
        if count == self.tail.len() {
            self.tail.clear(); // unlike advancing, this keeps all of the room
        } else {
            self.tail.advance(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(
            pushes in prop::collection::vec((any::<bool>(), 0..3 * COPY), 0..12),
            steps in prop::collection::vec(1..3 * COPY, 1..12),
        ) {
            let mut output = Output::default();
            let mut expected = Vec::new();
            let mut seen = Vec::new();
            let mut steps = steps.into_iter().cycle();
            for (i, (written, size)) in pushes.into_iter().enumerate() {
                let data = vec![i as u8; size];
                expected.extend_from_slice(&data);
                if written {
                    output.write(|tail| tail.extend_from_slice(&data));
                } else {
                    output.push(data.into());
                }
                take(&mut output, &mut seen, steps.next().unwrap());
            }
            while output.has_remaining() {
                take(&mut output, &mut seen, steps.next().unwrap());
            }
            prop_assert_eq!(seen, expected);
            prop_assert!(output.is_empty());
        }
    }

    /// What a vectored write of at most `step` bytes would do.
    fn take(output: &mut Output, seen: &mut Vec<u8>, step: usize) {
        let mut slices = [IoSlice::new(&[]); 3];
        let count = output.chunks_vectored(&mut slices);
        let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).take(step).collect();
        assert!(!bytes.is_empty() || output.is_empty());
        seen.extend_from_slice(&bytes);
        output.advance(bytes.len());
    }
}
