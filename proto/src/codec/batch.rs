use std::task::Poll;

use bytes::{BufMut as _, BytesMut};
use prost::{encode_length_delimiter, length_delimiter_len};

use super::Pieces;
use crate::{Frame, TunnelData, limits};

/// Chunks from this length on are not copied: they stand in a row of their own between two pieces of the buffer.
const CHAINED: usize = 4 * 1024;
/// A batch takes no more once it holds this many bytes: two of the largest chunks. An HTTP/2 frame of this size is read
/// with two or three system calls, and others wait no longer for their turn.
const FULL: usize = 2 * limits::MAX_CHUNK;
/// What the buffer grows by at least.
const GROWTH: usize = 8 * 1024;
/// Flags and length in front of a gRPC message.
pub(super) const PREFIX: usize = 5;

/// Protobuf's wire type of messages, texts and bytes.
const DELIMITED: u8 = 2;
const ID: u8 = 1 << 3 | DELIMITED;
const CHUNK: u8 = 2 << 3 | DELIMITED;
const END_STREAM: [u8; 2] = [3 << 3, 1];

/// Frames that leave together, encoded: small ones in one buffer, the chunks of large ones where they were.
#[derive(Debug)]
pub struct Batch {
    buffer: BytesMut,
    /// What is before the buffer.
    pieces: Pieces,
    chained: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), pieces: Pieces::default(), chained: CHAINED }
    }
}

impl Batch {
    /// A batch that copies everything, for bytes that must be changed before they leave.
    pub fn contiguous() -> Self {
        Self { chained: usize::MAX, ..Self::default() }
    }

    /// Whether nothing was pushed since all was taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.pieces.is_empty()
    }

    /// Whether what there is should leave before more is pushed.
    pub fn is_full(&self) -> bool {
        self.len() >= FULL
    }

    /// Appends a frame as a gRPC message: not compressed, behind its length.
    pub fn push_message<F: Frame>(&mut self, frame: &F) {
        self.push(frame, frame.encoded_len(), |buffer, len| {
            buffer.put_u8(0);
            buffer.put_u32(u32::try_from(len).expect("no frame is that large"));
        });
    }

    /// Appends a frame of `len` encoded bytes behind its length as a varint.
    pub fn push_delimited<F: Frame>(&mut self, frame: &F, len: usize) {
        self.push(frame, len, |buffer, len| {
            encode_length_delimiter(len, buffer).expect("the space was reserved");
        });
    }

    /// Appends bytes that are no frame.
    pub fn push_slice(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.buffer.extend_from_slice(bytes);
    }

    /// What was copied since the last chunk that was not.
    pub fn buffer_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// All that was pushed; the batch is empty afterwards.
    pub fn take(&mut self) -> Pieces {
        self.seal();
        std::mem::take(&mut self.pieces)
    }

    /// Gives memory back that nothing is in, for an idle link to hold none. A contiguous batch keeps it: it is large, and
    /// there is one in a process.
    pub fn release(&mut self) {
        if self.buffer.is_empty() && self.chained != usize::MAX {
            self.buffer = BytesMut::new();
        }
    }

    /// Takes frames from `next` as gRPC messages until there are none or the batch is full. `None` once they have ended.
    pub fn poll_messages<F: Frame>(
        &mut self,
        mut next: impl FnMut() -> Poll<Option<F>>,
    ) -> Poll<Option<Pieces>> {
        loop {
            match next() {
                Poll::Ready(Some(frame)) => self.push_message(&frame),
                Poll::Ready(None) if self.is_empty() => return Poll::Ready(None),
                Poll::Pending if self.is_empty() => {
                    self.release();
                    return Poll::Pending;
                }
                Poll::Ready(None) | Poll::Pending => return Poll::Ready(Some(self.take())),
            }
            if self.is_full() {
                return Poll::Ready(Some(self.take()));
            }
        }
    }

    fn len(&self) -> usize {
        bytes::Buf::remaining(&self.pieces) + self.buffer.len()
    }

    fn push<F: Frame>(&mut self, frame: &F, len: usize, prefix: impl FnOnce(&mut BytesMut, usize)) {
        match frame.data() {
            Some(data) if data.chunk.len() >= self.chained => {
                self.reserve(2 * PREFIX + len - data.chunk.len());
                prefix(&mut self.buffer, len);
                self.push_data(F::DATA, data);
            }
            _ => {
                self.reserve(2 * PREFIX + len);
                prefix(&mut self.buffer, len);
                frame.encode(&mut self.buffer).expect("the space was reserved");
            }
        }
    }

    /// What prost makes of a frame with a chunk (`the_same_bytes_as_prost` holds it to that), but for the copy.
    fn push_data(&mut self, field: u8, data: &TunnelData) {
        let TunnelData { id, chunk, end_stream } = data;
        let mut len = 1 + length_delimiter_len(chunk.len()) + chunk.len();
        if !id.is_empty() {
            len += 1 + length_delimiter_len(id.len()) + id.len();
        }
        if *end_stream {
            len += END_STREAM.len();
        }
        self.put_delimiter(field << 3 | DELIMITED, len);
        if !id.is_empty() {
            self.put_delimiter(ID, id.len());
            self.buffer.extend_from_slice(id);
        }
        self.put_delimiter(CHUNK, chunk.len());
        self.seal();
        self.pieces.push(chunk.clone());
        if *end_stream {
            self.push_slice(&END_STREAM);
        }
    }

    fn put_delimiter(&mut self, key: u8, len: usize) {
        self.buffer.put_u8(key);
        encode_length_delimiter(len, &mut self.buffer).expect("the buffer grows");
    }

    fn reserve(&mut self, len: usize) {
        if self.buffer.capacity() - self.buffer.len() < len {
            self.buffer.reserve(len.max(GROWTH));
        }
    }

    fn seal(&mut self) {
        if !self.buffer.is_empty() {
            self.pieces.push(self.buffer.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Buf as _, Bytes};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::{
        AgentFrame, GatewayFrame,
        codec::{delimited_len, unpack},
    };

    fn data() -> impl Strategy<Value = TunnelData> {
        let lens = prop_oneof![0..300usize, CHAINED - 2..CHAINED + 2, Just(limits::MAX_CHUNK)];
        let chunk = lens.prop_map(|len| Bytes::from(vec![7; len]));
        (prop_oneof![0..40usize, 126..130usize], chunk, any::<bool>())
            .prop_map(|(id, chunk, end_stream)| TunnelData { id: vec![b'x'; id].into(), chunk, end_stream })
    }

    fn all(mut batch: Batch) -> Vec<u8> {
        let mut pieces = batch.take();
        assert!(batch.is_empty());
        pieces.copy_to_bytes(pieces.remaining()).to_vec()
    }

    fn check<F: Frame>(frames: &[F], mut batch: Batch) -> Result<(), TestCaseError> {
        let mut by_prost = Vec::new();
        for frame in frames {
            batch.push_delimited(frame, frame.encoded_len());
            frame.encode_length_delimited(&mut by_prost).unwrap();
        }
        prop_assert_eq!(all(batch), by_prost);
        Ok(())
    }

    proptest! {
        #[test]
        fn the_same_bytes_as_prost(data in prop::collection::vec(data(), 0..6)) {
            let agent: Vec<_> = data.iter().cloned().map(AgentFrame::from).collect();
            let gateway: Vec<_> = data.into_iter().map(GatewayFrame::from).collect();
            check(&agent, Batch::default())?;
            check(&agent, Batch::contiguous())?;
            check(&gateway, Batch::default())?;
        }

        #[test]
        fn frames_survive_packing(data in prop::collection::vec(data(), 0..20)) {
            let frames: Vec<_> = data.into_iter().map(AgentFrame::from).collect();
            let mut batch = Batch::default();
            for frame in &frames {
                batch.push_delimited(frame, frame.encoded_len());
            }
            let mut message = Bytes::from(all(batch));
            prop_assert_eq!(message.len(), frames.iter().map(|frame| delimited_len(frame.encoded_len())).sum::<usize>());
            let mut unpacked = Vec::new();
            while let Some(frame) = unpack::<AgentFrame>(&mut message).unwrap() {
                unpacked.push(frame);
            }
            prop_assert_eq!(unpacked, frames);
        }
    }

    #[test]
    fn a_large_chunk_is_not_copied() {
        let chunk = Bytes::from(vec![0; limits::MAX_CHUNK]);
        let address = chunk.as_ptr();
        let frame = AgentFrame::from(TunnelData { chunk, ..TunnelData::default() });
        let mut batch = Batch::default();
        batch.push_message(&frame);
        let mut pieces = batch.take();
        pieces.advance(pieces.chunk().len());
        assert_eq!(pieces.chunk().as_ptr(), address);
    }

    #[test]
    fn a_full_batch_leaves_before_more_is_taken() {
        let chunk = Bytes::from(vec![0; limits::MAX_CHUNK]);
        let mut frames = vec![AgentFrame::from(TunnelData { chunk, ..TunnelData::default() }); 3].into_iter();
        let mut batch = Batch::default();
        let mut len = || match batch.poll_messages(|| Poll::Ready(frames.next())) {
            Poll::Ready(pieces) => pieces.map(|pieces| pieces.remaining() / limits::MAX_CHUNK),
            Poll::Pending => None,
        };
        assert_eq!((len(), len(), len()), (Some(2), Some(1), None));
    }
}
