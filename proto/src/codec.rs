//! Many frames in one message: each frame stands behind its length as a varint (prost's length-delimited form).

use bytes::{Buf, Bytes, BytesMut};

use crate::{Frame, limits};

/// Fills messages with frames.
#[derive(Debug, Default)]
pub struct Packer {
    buffer: BytesMut,
}

impl Packer {
    /// Whether another frame of `len` encoded bytes still belongs in this message.
    pub fn fits(&self, len: usize) -> bool {
        self.buffer.is_empty() || self.buffer.len() + len <= limits::WS_PACK
    }

    /// Appends one frame. Ask [`Packer::fits`] first; a frame too large for any message goes alone.
    pub fn push<F: Frame>(&mut self, frame: &F) {
        self.buffer.reserve(delimited_len(frame));
        frame.encode_length_delimited(&mut self.buffer).expect("the space was reserved");
    }

    /// Whether nothing was pushed since the last message was taken.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The message so far; the packer is empty afterwards.
    pub fn take(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }
}

/// Length of a frame with its length prefix.
pub fn delimited_len<F: Frame>(frame: &F) -> usize {
    let len = frame.encoded_len();
    len + prost::length_delimiter_len(len)
}

/// Why a message is not a row of frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// A frame is larger than [`limits::MAX_FRAME`].
    #[error("a frame is larger than {} bytes", limits::MAX_FRAME)]
    TooLarge,
    /// A length prefix is malformed, or points past the end of the message.
    #[error("a length prefix in the message is wrong")]
    Length,
    /// A frame is not valid protobuf.
    #[error("a frame in the message is not valid protobuf: {0}")]
    Frame(#[from] prost::DecodeError),
}

/// Takes the next frame off the front of `message`; `None` once it is empty. Byte fields share the message's memory.
///
/// # Errors
/// [`UnpackError`]; the rest of the message is then meaningless.
pub fn unpack<F: Frame>(message: &mut Bytes) -> Result<Option<F>, UnpackError> {
    if message.is_empty() {
        return Ok(None);
    }
    let len = prost::decode_length_delimiter(&mut *message).map_err(|_| UnpackError::Length)?;
    if len > limits::MAX_FRAME {
        return Err(UnpackError::TooLarge);
    }
    if len > message.remaining() {
        return Err(UnpackError::Length);
    }
    Ok(Some(F::decode(message.split_to(len))?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AgentFrame, TunnelData};

    fn data(chunk: Vec<u8>) -> AgentFrame {
        TunnelData { id: "x".into(), chunk: chunk.into(), end_stream: false }.into()
    }

    proptest! {
        #[test]
        fn frames_survive_packing(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..20)) {
            let frames: Vec<_> = chunks.into_iter().map(data).collect();
            let mut packer = Packer::default();
            for frame in &frames {
                packer.push(frame);
            }
            let mut message = packer.take();
            let mut unpacked = Vec::new();
            while let Some(frame) = unpack::<AgentFrame>(&mut message).unwrap() {
                unpacked.push(frame);
            }
            prop_assert_eq!(unpacked, frames);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut message = Bytes::from(bytes);
            while let Ok(Some(_)) = unpack::<AgentFrame>(&mut message) {}
        }
    }

    #[test]
    fn a_message_is_full_at_its_limit_but_never_refuses_its_first_frame() {
        let large = data(vec![0; limits::MAX_CHUNK]);
        let mut packer = Packer::default();
        assert!(packer.fits(usize::MAX));
        packer.push(&large);
        assert!(packer.fits(limits::WS_PACK - delimited_len(&large)));
        assert!(!packer.fits(delimited_len(&large)));
    }

    #[test]
    fn a_length_past_the_end_is_an_error() {
        let mut message = Bytes::from_static(&[5, 1, 2]);
        assert_eq!(unpack::<AgentFrame>(&mut message), Err(UnpackError::Length));
    }
}
