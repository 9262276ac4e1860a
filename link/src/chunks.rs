use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Chunks shorter than this are copied together: a chunk keeps the buffer alive that it was cut from, and a flood of
/// tiny ones would cost many times their length.
const SMALL: usize = 2 * 1024;
/// Copied chunks are handed out at this length.
const MERGED: usize = 16 * 1024;

/// Once a consumer has left this many bytes waiting, what comes behind them is copied out of the buffer it arrived in.
/// That buffer may be several times as large and shared with other exchanges, and a consumer that stalls would pin it
/// all. One that keeps up never pays for a copy.
const PINNED: usize = 64 * 1024;

/// Body bytes that arrived and were not consumed yet, in order. Its length is bounded by credit.
#[derive(Debug, Default)]
pub(crate) struct ChunkQueue {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    len: usize,
}

impl ChunkQueue {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        let waiting = self.len;
        self.len += chunk.len();
        if chunk.len() < SMALL {
            self.tail.extend_from_slice(&chunk);
            if self.tail.len() >= MERGED {
                self.seal_tail();
            }
        } else {
            self.seal_tail();
            self.chunks.push_back(if waiting < PINNED { chunk } else { Bytes::copy_from_slice(&chunk) });
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        // An idle exchange holds no buffer: the tail leaves with its spare capacity.
        let chunk = self.chunks.pop_front().unwrap_or_else(|| std::mem::take(&mut self.tail).freeze());
        self.len -= chunk.len();
        (!chunk.is_empty()).then_some(chunk)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_out_in_the_order_they_went_in(steps in prop::collection::vec((any::<bool>(), 0usize..6000), 0..60)) {
            let mut queue = ChunkQueue::default();
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for (push, len) in steps {
                if push {
                    let chunk: Vec<u8> = (0..len).map(|i| (i + sent.len()) as u8).collect();
                    sent.extend_from_slice(&chunk);
                    queue.push(chunk.into());
                } else if let Some(chunk) = queue.pop() {
                    prop_assert!(!chunk.is_empty());
                    received.extend_from_slice(&chunk);
                }
            }
            while let Some(chunk) = queue.pop() {
                received.extend_from_slice(&chunk);
            }
            prop_assert!(queue.is_empty());
            prop_assert_eq!(received, sent);
        }
    }

    #[test]
    fn tiny_chunks_are_merged() {
        let mut queue = ChunkQueue::default();
        for _ in 0..64 * 1024 {
            queue.push(Bytes::from_static(b"x"));
        }
        let mut popped = 0;
        while queue.pop().is_some() {
            popped += 1;
        }
        assert_eq!(popped, 4);
    }
}
