//! Short ways to write the frames of an agent.

use bytes::Bytes;
use proto::{
    ControlMessage, Header, TunnelClose, TunnelData, TunnelResponse, TunnelWindow, control_message,
    tunnel_close::Reason,
};

/// A response without fields and body that ends at once.
pub fn response(id: impl AsRef<[u8]>, status: u32) -> TunnelResponse {
    TunnelResponse { id: id_bytes(id), status, end_stream: true, ..TunnelResponse::default() }
}

/// The head of a response of 200 whose body is yet to come.
pub fn head(id: impl AsRef<[u8]>) -> TunnelResponse {
    TunnelResponse { end_stream: false, ..response(id, 200) }
}

/// A whole response of 200.
pub fn answer(id: impl AsRef<[u8]>, body: &'static str) -> TunnelResponse {
    TunnelResponse { body: Bytes::from_static(body.as_bytes()), ..response(id, 200) }
}

/// A header field.
pub fn header(name: &str, value: impl AsRef<[u8]>) -> Header {
    Header { name: Bytes::copy_from_slice(name.as_bytes()), value: Bytes::copy_from_slice(value.as_ref()) }
}

/// A part of a body.
pub fn data(id: impl AsRef<[u8]>, chunk: impl Into<Bytes>) -> TunnelData {
    TunnelData { id: id_bytes(id), chunk: chunk.into(), end_stream: false }
}

/// The last part of a body.
pub fn last_data(id: impl AsRef<[u8]>, chunk: impl Into<Bytes>) -> TunnelData {
    TunnelData { end_stream: true, ..data(id, chunk) }
}

/// The end of an exchange or of one of its halves.
pub fn close(id: impl AsRef<[u8]>, reason: Reason) -> TunnelClose {
    TunnelClose { id: id_bytes(id), reason: reason.into(), ..TunnelClose::default() }
}

/// Credit for a request's body.
pub fn window(id: impl AsRef<[u8]>, credit: u32) -> TunnelWindow {
    TunnelWindow { id: id_bytes(id), credit }
}

/// A PING.
pub fn ping(payload: impl Into<Bytes>) -> ControlMessage {
    ControlMessage {
        r#type: control_message::Type::Ping.into(),
        payload: payload.into(),
        ..ControlMessage::default()
    }
}

/// A PONG.
pub fn pong(payload: impl Into<Bytes>) -> ControlMessage {
    ControlMessage {
        r#type: control_message::Type::Pong.into(),
        payload: payload.into(),
        ..ControlMessage::default()
    }
}

fn id_bytes(id: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(id.as_ref())
}
