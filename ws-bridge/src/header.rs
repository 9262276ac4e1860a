//! WebSocket frames as this crate writes them (RFC 6455, section 5.2): whole messages, never fragments.

use proto::codec::Batch;

/// The most that stands in front of a payload: two bytes, an extended length and a mask.
const MAX_HEADER: usize = 14;
/// Bytes that are masked at a time: two registers' worth.
const BLOCK: usize = 32;

/// Which end of the connection writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A client must mask what it sends, with a key that nobody can foresee.
    #[cfg(feature = "client")]
    Client,
    #[cfg(feature = "server")]
    Server,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Opcode {
    Binary = 0x2,
    Close = 0x8,
}

impl Side {
    /// What frames are gathered in: bytes that will be masked must be copied for it, others need not.
    pub(crate) fn batch(self) -> Batch {
        match self {
            #[cfg(feature = "client")]
            Self::Client => Batch::contiguous(),
            #[cfg(feature = "server")]
            Self::Server => Batch::default(),
        }
    }

    /// Appends a frame whose payload, of `len` bytes, `payload` pushes.
    pub(crate) fn write(
        self,
        batch: &mut Batch,
        opcode: Opcode,
        len: usize,
        payload: impl FnOnce(&mut Batch),
    ) {
        match self {
            #[cfg(feature = "client")]
            Self::Client => {
                let key = rand::random();
                push_header(batch, opcode, len, Some(key));
                let begin = batch.buffer_mut().len();
                payload(batch);
                mask(&mut batch.buffer_mut()[begin..], key);
            }
            #[cfg(feature = "server")]
            Self::Server => {
                push_header(batch, opcode, len, None);
                payload(batch);
            }
        }
    }
}

fn push_header(batch: &mut Batch, opcode: Opcode, len: usize, key: Option<[u8; 4]>) {
    let mut header = [0; MAX_HEADER];
    header[0] = 0x80 | opcode as u8;
    let long = (len as u64).to_be_bytes();
    let mut end = match len {
        0..126 => {
            header[1] = long[7];
            2
        }
        126..65_536 => {
            header[1] = 126;
            header[2..4].copy_from_slice(&long[6..]);
            4
        }
        _ => {
            header[1] = 127;
            header[2..10].copy_from_slice(&long);
            10
        }
    };
    if let Some(key) = key {
        header[1] |= 0x80;
        header[end..end + key.len()].copy_from_slice(&key);
        end += key.len();
    }
    batch.push_slice(&header[..end]);
}

/// Masks `payload` from its first byte on (RFC 6455, section 5.3).
#[cfg_attr(not(any(feature = "client", test)), expect(dead_code, reason = "servers do not mask"))]
fn mask(payload: &mut [u8], key: [u8; 4]) {
    let key: [u8; BLOCK] = std::array::from_fn(|at| key[at % key.len()]);
    let (blocks, rest) = payload.as_chunks_mut::<BLOCK>();
    for block in blocks {
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use bytes::Buf as _;
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::{Role, WebSocket},
    };

    use super::*;

    fn written(side: Side, payload: &[u8]) -> Vec<u8> {
        let mut batch = side.batch();
        side.write(&mut batch, Opcode::Binary, payload.len(), |batch| batch.push_slice(payload));
        let mut pieces = batch.take();
        pieces.copy_to_bytes(pieces.remaining()).to_vec()
    }

    fn read(side: Side, bytes: Vec<u8>) -> Message {
        let role = match side {
            #[cfg(feature = "client")]
            Side::Client => Role::Server,
            #[cfg(feature = "server")]
            Side::Server => Role::Client,
        };
        WebSocket::from_raw_socket(Cursor::new(bytes), role, None).read().unwrap()
    }

    const SIDES: &[Side] = &[
        #[cfg(feature = "client")]
        Side::Client,
        #[cfg(feature = "server")]
        Side::Server,
    ];

    proptest! {
        #[test]
        fn tungstenite_reads_it(
            len in prop_oneof![0..300usize, 65_530..65_540usize, Just(70_000)],
            seed in any::<u8>(),
        ) {
            let payload: Vec<u8> = (0..len).map(|at| (at as u8).wrapping_mul(seed)).collect();
            for side in SIDES {
                let message = read(*side, written(*side, &payload));
                prop_assert_eq!(message, Message::Binary(payload.clone().into()));
            }
        }
    }

    #[test]
    fn lengths_take_the_fewest_bytes() {
        for side in SIDES {
            let len = |payload| written(*side, &vec![0; payload]).len() - payload;
            let mask = len(0) - 2;
            assert_eq!([len(125), len(126), len(65_535), len(65_536)].map(|len| len - mask), [2, 4, 4, 10]);
        }
    }
}
