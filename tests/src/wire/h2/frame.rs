//! Frames and how they are written (RFC 9113, section 6). Nothing is checked.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Bytes before a payload.
const HEADER: usize = 9;

/// The kind of a frame.
pub const DATA: u8 = 0;
/// The kind of a frame.
pub const HEADERS: u8 = 1;
/// The kind of a frame.
pub const PRIORITY: u8 = 2;
/// The kind of a frame.
pub const RST_STREAM: u8 = 3;
/// The kind of a frame.
pub const SETTINGS: u8 = 4;
/// The kind of a frame.
pub const PING: u8 = 6;
/// The kind of a frame.
pub const GOAWAY: u8 = 7;
/// The kind of a frame.
pub const WINDOW_UPDATE: u8 = 8;
/// The kind of a frame.
pub const CONTINUATION: u8 = 9;

/// A flag of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// A flag of SETTINGS and PING.
pub const ACK: u8 = 1;
/// A flag of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 4;

/// An error code (RFC 9113, section 7).
pub const NO_ERROR: u32 = 0;
/// An error code.
pub const PROTOCOL_ERROR: u32 = 1;
/// An error code.
pub const FLOW_CONTROL_ERROR: u32 = 3;
/// An error code.
pub const FRAME_SIZE_ERROR: u32 = 6;
/// An error code.
pub const REFUSED_STREAM: u32 = 7;
/// An error code.
pub const CANCEL: u32 = 8;
/// An error code.
pub const COMPRESSION_ERROR: u32 = 9;
/// An error code.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A setting.
pub const HEADER_TABLE_SIZE: u16 = 1;
/// A setting.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream that it belongs to, or 0.
    pub stream: u32,
    /// What it carries.
    pub payload: Bytes,
}

impl Frame {
    /// Takes the next frame off the buffer, if it is all there.
    pub(super) fn parse(buffer: &mut BytesMut) -> Option<Self> {
        let mut header = buffer.get(..HEADER)?;
        let length = header.get_uint(3) as usize;
        if buffer.len() < HEADER + length {
            return None;
        }
        let (kind, flags) = (header.get_u8(), header.get_u8());
        let stream = header.get_u32() & 0x7fff_ffff;
        buffer.advance(HEADER);
        Some(Self { kind, flags, stream, payload: buffer.split_to(length).freeze() })
    }

    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let begin = if self.kind == GOAWAY { 4 } else { 0 };
        (&self.payload[begin..]).get_u32()
    }

    /// Whether its sender will send no more on its stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// Any frame.
pub fn any(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Bytes {
    let payload = payload.as_ref();
    let mut frame = BytesMut::with_capacity(HEADER + payload.len());
    frame.put_uint(payload.len() as u64, 3);
    frame.put_u8(kind);
    frame.put_u8(flags);
    frame.put_u32(stream);
    frame.put_slice(payload);
    frame.freeze()
}

/// HEADERS with these flags.
pub fn headers(stream: u32, flags: u8, block: impl AsRef<[u8]>) -> Bytes {
    any(HEADERS, flags, stream, block)
}

/// A part of a body.
pub fn data(stream: u32, payload: impl AsRef<[u8]>) -> Bytes {
    any(DATA, 0, stream, payload)
}

/// The last part of a body.
pub fn last_data(stream: u32, payload: impl AsRef<[u8]>) -> Bytes {
    any(DATA, END_STREAM, stream, payload)
}

/// RST_STREAM.
pub fn reset(stream: u32, code: u32) -> Bytes {
    any(RST_STREAM, 0, stream, code.to_be_bytes())
}

/// SETTINGS.
pub fn settings(settings: &[(u16, u32)]) -> Bytes {
    let mut payload = Vec::new();
    for (id, value) in settings {
        payload.put_u16(*id);
        payload.put_u32(*value);
    }
    any(SETTINGS, 0, 0, payload)
}

/// PING.
pub fn ping(payload: [u8; 8]) -> Bytes {
    any(PING, 0, 0, payload)
}

/// WINDOW_UPDATE.
pub fn window_update(stream: u32, increment: u32) -> Bytes {
    any(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}
