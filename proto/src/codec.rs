//! How frames stand in a row of bytes.
//!
//! - WebSocket: many frames in one message, each behind its length as a varint (prost's length-delimited form);
//!   [`Batch::push_delimited`] writes them and [`unpack`] reads them.
//! - gRPC: each frame behind a byte of flags and four of length; [`Batch::push_message`] writes them and [`Messages`]
//!   reads them, however HTTP/2 cuts them.

use bytes::{Buf as _, Bytes};

use crate::{Frame, limits};

mod batch;
mod messages;
mod pieces;

pub use batch::Batch;
pub use messages::Messages;
pub use pieces::Pieces;

/// Length of a frame of `len` encoded bytes behind its length as a varint.
pub fn delimited_len(len: usize) -> usize {
    len + prost::length_delimiter_len(len)
}

/// Why bytes are not a row of frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// A frame is larger than [`limits::MAX_FRAME`].
    #[error("a frame is larger than {} bytes", limits::MAX_FRAME)]
    TooLarge,
    /// A length prefix is malformed, or points past the end of the message.
    #[error("a length prefix in the message is wrong")]
    Length,
    /// A gRPC message is compressed, or says what is unknown.
    #[error("a message has flags {0:#04x}; compression was not agreed on")]
    Flags(u8),
    /// The row ends inside a frame.
    #[error("the stream ended inside a message")]
    Cut,
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
    use crate::AgentFrame;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut message = Bytes::from(bytes);
            while let Ok(Some(_)) = unpack::<AgentFrame>(&mut message) {}
        }
    }

    #[test]
    fn a_length_past_the_end_is_an_error() {
        let mut message = Bytes::from_static(&[5, 1, 2]);
        assert_eq!(unpack::<AgentFrame>(&mut message), Err(UnpackError::Length));
    }
}
