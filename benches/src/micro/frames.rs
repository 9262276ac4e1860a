//! Frames to bytes and from bytes, and the fields in them.

use std::hint::black_box;

use bytes::{Buf as _, Bytes, BytesMut};
use proto::{
    AgentFrame, Frame, GatewayFrame, TunnelData,
    codec::{Batch, unpack},
    headers::EndToEnd,
    id_text, limits, parse_id,
};

use super::{
    messages::{self, id, request, response},
    operation::{Doing, Operation},
};

/// Frames that share one WebSocket message.
const PACKED: u64 = 64;
/// Room for a few of the largest frames.
const BUFFER: usize = 256 * 1024;

pub(super) const OPERATIONS: [Operation; 12] = [
    Operation::new("frame/encode-request", || encode(GatewayFrame::from(request(id(1))))),
    Operation::new("frame/decode-request", || decode(GatewayFrame::from(request(id(1))))),
    Operation::new("frame/encode-response", || encode(AgentFrame::from(response(id(1))))),
    Operation::new("frame/decode-response", || decode(AgentFrame::from(response(id(1))))),
    Operation::new("frame/encode-32-kib", || encode(chunk())),
    Operation::new("frame/decode-32-kib", || decode(chunk())),
    Operation::large("codec/pack-64-responses", pack),
    Operation::large("codec/unpack-64-responses", unpack_all),
    Operation::new("id/write", write_id),
    Operation::new("id/parse", read_id),
    Operation::new("fields/of-browser-request", end_to_end),
    Operation::new("fields/from-wire", from_wire),
];

fn encode(frame: impl Frame) -> Doing {
    let mut buffer = BytesMut::with_capacity(BUFFER);
    Box::new(move || {
        buffer.clear();
        buffer.reserve(frame.encoded_len());
        frame.encode(&mut buffer).expect("there is room");
        black_box(&buffer);
    })
}

fn decode<F: Frame>(frame: F) -> Doing {
    let bytes = Bytes::from(frame.encode_to_vec());
    Box::new(move || {
        black_box(F::decode(bytes.clone()).expect("the frame is valid"));
    })
}

fn chunk() -> AgentFrame {
    let chunk = Bytes::from(vec![b'x'; limits::MAX_CHUNK]);
    TunnelData { id: id_text(id(1)), chunk, end_stream: false }.into()
}

fn responses() -> Vec<AgentFrame> {
    (0..PACKED).map(|number| response(id(number)).into()).collect()
}

fn pack() -> Doing {
    let responses = responses();
    let mut batch = Batch::contiguous();
    Box::new(move || {
        for frame in &responses {
            push(&mut batch, frame);
        }
        black_box(batch.take());
    })
}

fn push(batch: &mut Batch, frame: &impl Frame) {
    batch.push_delimited(frame, frame.encoded_len());
}

fn unpack_all() -> Doing {
    let mut batch = Batch::contiguous();
    responses().iter().for_each(|frame| push(&mut batch, frame));
    let mut pieces = batch.take();
    let packed = pieces.copy_to_bytes(pieces.remaining());
    Box::new(move || {
        let mut message = packed.clone();
        while let Some(frame) = unpack::<AgentFrame>(&mut message).expect("the message is valid") {
            black_box(frame);
        }
    })
}

fn write_id() -> Doing {
    let id = id(1);
    Box::new(move || {
        black_box(id_text(black_box(id)));
    })
}

fn read_id() -> Doing {
    let text = id_text(id(1));
    Box::new(move || {
        black_box(parse_id(black_box(&text)).expect("the text is an id"));
    })
}

fn end_to_end() -> Doing {
    let fields = messages::browser_fields();
    Box::new(move || {
        black_box(EndToEnd::of(fields.clone()).expect("the fields are valid"));
    })
}

fn from_wire() -> Doing {
    let fields = EndToEnd::of(messages::browser_fields()).expect("the fields are valid").fields.into_wire();
    Box::new(move || {
        black_box(EndToEnd::from_wire(fields.clone(), Some(16)).expect("the fields are valid"));
    })
}
