use std::marker::PhantomData;

use bytes::{Buf as _, Bytes, BytesMut};

use super::{UnpackError, batch::PREFIX};
use crate::{Frame, limits};

/// Space that is set aside at a time for a message that comes in parts: no prefix alone may claim more.
const CLAIM: usize = 64 * 1024;

/// Finds gRPC messages in the bytes of a stream, wherever they are cut. A message that is whole in what arrived shares
/// its memory; only one that is not is copied together.
#[derive(Debug)]
pub struct Messages<F> {
    arrived: Bytes,
    /// The beginning of a message whose rest has yet to come.
    begun: BytesMut,
    frame: PhantomData<fn() -> F>,
}

impl<F> Default for Messages<F> {
    fn default() -> Self {
        Self { arrived: Bytes::new(), begun: BytesMut::new(), frame: PhantomData }
    }
}

impl<F: Frame> Messages<F> {
    /// Takes bytes that arrived. Take all messages out first.
    pub fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.arrived.is_empty(), "messages were left behind");
        self.arrived = bytes;
    }

    /// The next message; `None` until more arrives.
    ///
    /// # Errors
    /// [`UnpackError`]; what follows is then meaningless.
    pub fn pop(&mut self) -> Result<Option<F>, UnpackError> {
        if !self.begun.is_empty() {
            return self.join();
        }
        if let Some(len) = message_len(&self.arrived)?
            && let Some(end) = Some(PREFIX + len).filter(|end| *end <= self.arrived.len())
        {
            let mut message = self.arrived.split_to(end);
            message.advance(PREFIX);
            return Ok(Some(F::decode(message)?));
        }
        let arrived = std::mem::take(&mut self.arrived);
        self.begin(&arrived)?;
        Ok(None)
    }

    /// To be asked when the stream has ended.
    ///
    /// # Errors
    /// [`UnpackError::Cut`] if that was inside a message.
    pub fn end(&self) -> Result<(), UnpackError> {
        if self.begun.is_empty() && self.arrived.is_empty() { Ok(()) } else { Err(UnpackError::Cut) }
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        self.begun.extend_from_slice(bytes);
        if let Some(len) = message_len(&self.begun)? {
            self.begun.reserve((PREFIX + len - self.begun.len()).min(CLAIM));
        }
        Ok(())
    }

    /// Completes the message that has begun.
    fn join(&mut self) -> Result<Option<F>, UnpackError> {
        let missing = PREFIX.saturating_sub(self.begun.len()).min(self.arrived.len());
        let part = self.arrived.split_to(missing);
        if !part.is_empty() {
            self.begin(&part)?;
        }
        let Some(len) = message_len(&self.begun)? else { return Ok(None) };
        let missing = (PREFIX + len - self.begun.len()).min(self.arrived.len());
        self.begun.extend_from_slice(&self.arrived.split_to(missing));
        if self.begun.len() < PREFIX + len {
            return Ok(None);
        }
        // With its memory: an idle stream holds no buffer.
        let mut message = std::mem::take(&mut self.begun).freeze();
        message.advance(PREFIX);
        Ok(Some(F::decode(message)?))
    }
}

/// What the prefix says, once it is there.
fn message_len(bytes: &[u8]) -> Result<Option<usize>, UnpackError> {
    match bytes {
        [0, a, b, c, d, ..] => {
            let len = u32::from_be_bytes([*a, *b, *c, *d]);
            let len = usize::try_from(len).map_err(|_| UnpackError::TooLarge)?;
            if len > limits::MAX_FRAME { Err(UnpackError::TooLarge) } else { Ok(Some(len)) }
        }
        [] | [0, ..] => Ok(None),
        [flags, ..] => Err(UnpackError::Flags(*flags)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AgentFrame, TunnelData, codec::Batch};

    fn data(len: usize) -> AgentFrame {
        TunnelData { id: "x".into(), chunk: vec![7; len].into(), end_stream: false }.into()
    }

    fn drain(messages: &mut Messages<AgentFrame>, into: &mut Vec<AgentFrame>) -> Result<(), UnpackError> {
        while let Some(frame) = messages.pop()? {
            into.push(frame);
        }
        Ok(())
    }

    fn stream(frames: &[AgentFrame]) -> Bytes {
        let mut batch = Batch::default();
        frames.iter().for_each(|frame| batch.push_message(frame));
        let mut pieces = batch.take();
        pieces.copy_to_bytes(pieces.remaining())
    }

    proptest! {
        #[test]
        fn messages_are_found_wherever_they_are_cut(
            lens in prop::collection::vec(prop_oneof![0..20usize, 1000..9000usize], 0..12),
            cuts in prop::collection::vec(prop_oneof![0..8usize, 0..5000usize], 1..40),
        ) {
            let frames: Vec<_> = lens.into_iter().map(data).collect();
            let mut bytes = stream(&frames);
            let mut messages = Messages::default();
            let mut found = Vec::new();
            for cut in cuts.into_iter().chain([usize::MAX]) {
                messages.push(bytes.split_to(cut.min(bytes.len())));
                drain(&mut messages, &mut found).unwrap();
            }
            prop_assert_eq!(found, frames);
            prop_assert_eq!(messages.end(), Ok(()));
        }

        #[test]
        fn no_bytes_make_it_panic(parts in prop::collection::vec(prop::collection::vec(0u8..4, 0..60), 0..10)) {
            let mut messages = Messages::default();
            for part in parts {
                messages.push(part.into());
                if drain(&mut messages, &mut Vec::new()).is_err() {
                    break;
                }
            }
        }
    }

    fn error(bytes: &'static [u8]) -> UnpackError {
        let mut whole = Messages::<AgentFrame>::default();
        whole.push(Bytes::from_static(bytes));
        let whole = whole.pop().unwrap_err();
        let mut by_byte = Messages::<AgentFrame>::default();
        let found = bytes.iter().find_map(|byte| {
            by_byte.push(Bytes::copy_from_slice(&[*byte]));
            by_byte.pop().err()
        });
        assert_eq!(Some(&whole), found.as_ref());
        whole
    }

    #[test]
    fn what_is_no_message_is_refused_at_its_prefix() {
        assert_eq!(error(&[1, 0, 0, 0, 0]), UnpackError::Flags(1));
        assert_eq!(error(&[2, 0, 0, 0, 0]), UnpackError::Flags(2));
        assert_eq!(error(&[0, 0, 4, 0, 1]), UnpackError::TooLarge);
        assert_eq!(error(&[0, 255, 255, 255, 255]), UnpackError::TooLarge);
        assert!(matches!(error(&[0, 0, 0, 0, 1, 0]), UnpackError::Frame(_)));
    }

    #[test]
    fn the_end_inside_a_message_is_noticed() {
        let bytes = stream(&[data(100)]);
        for len in 1..bytes.len() {
            let mut messages = Messages::<AgentFrame>::default();
            messages.push(bytes.slice(..len));
            assert_eq!((messages.pop(), messages.end()), (Ok(None), Err(UnpackError::Cut)));
        }
    }

    #[test]
    fn a_whole_message_is_not_copied() {
        let bytes = stream(&[data(100), data(100)]);
        let range = bytes.as_ptr_range();
        let mut messages = Messages::<AgentFrame>::default();
        messages.push(bytes);
        while let Some(frame) = messages.pop().unwrap() {
            assert!(range.contains(&frame.data().unwrap().chunk.as_ptr()));
        }
    }
}
