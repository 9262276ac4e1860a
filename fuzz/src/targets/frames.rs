//! Frames in a row of bytes, on either transport, however the bytes are cut.

use bytes::{Buf as _, Bytes};
use proto::{
    AgentFrame, Frame, GatewayFrame,
    codec::{Batch, Messages, UnpackError, unpack},
    limits,
};

use crate::input::{Input, pieces};

pub(super) const WORDS: &[&[u8]] = &[
    b"\0\0\0\0\0",
    b"\0\0\x04\0\0",
    b"\0\0\x04\0\x01",
    b"\x80\x80\x10",
    b"\xff\xff\xff\xff\x0f",
    b"\x1a\x02\x18\x01",
];

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let cuts = input.bytes(8);
    let row = input.rest();
    match choice % 4 {
        0 => messages::<AgentFrame>(row, cuts),
        1 => messages::<GatewayFrame>(row, cuts),
        2 => delimited::<AgentFrame>(row),
        _ => delimited::<GatewayFrame>(row),
    }
}

fn messages<F: Frame + PartialEq>(row: &[u8], cuts: &[u8]) {
    let (frames, end) = read::<F>(vec![Bytes::copy_from_slice(row)]);
    let (by_pieces, end_by_pieces) = read::<F>(pieces(row, cuts));
    assert!(
        frames == by_pieces && end == end_by_pieces,
        "cuts make a difference: {end:?}, {end_by_pieces:?}"
    );
    let again = read::<F>(pieces(&written(&frames, Batch::push_message), cuts));
    assert!(again == (frames, Ok(())), "what is written is read otherwise");
}

fn read<F: Frame>(pieces: Vec<Bytes>) -> (Vec<F>, Result<(), UnpackError>) {
    let mut messages = Messages::default();
    let mut frames = Vec::new();
    for piece in pieces {
        messages.push(piece);
        loop {
            match messages.pop() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    let end = messages.end();
    (frames, end)
}

fn delimited<F: Frame + PartialEq>(row: &[u8]) {
    let (frames, _) = unpacked::<F>(Bytes::copy_from_slice(row));
    let push = |batch: &mut Batch, frame: &F| batch.push_delimited(frame, frame.encoded_len());
    let again = unpacked::<F>(written(&frames, push));
    assert!(again == (frames, Ok(())), "what is written is read otherwise");
}

fn unpacked<F: Frame>(mut row: Bytes) -> (Vec<F>, Result<(), UnpackError>) {
    let mut frames = Vec::new();
    loop {
        let before = row.len();
        match unpack(&mut row) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, Ok(())),
            Err(error) => return (frames, Err(error)),
        }
        assert!(before - row.len() <= limits::MAX_FRAME + 10, "a frame over the limit");
    }
}

/// By either kind of batch, which must agree with each other.
fn written<F: Frame>(frames: &[F], push: impl Fn(&mut Batch, &F)) -> Bytes {
    let [chained, copied] = [Batch::default(), Batch::contiguous()].map(|mut batch| {
        frames.iter().for_each(|frame| push(&mut batch, frame));
        let mut pieces = batch.take();
        pieces.copy_to_bytes(pieces.remaining())
    });
    assert_eq!(chained, copied, "two batches write the same frames differently");
    copied
}
