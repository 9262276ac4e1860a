//! Short ways to write the frames of an agent.

use bytes::Bytes;
use proto::{
    ControlMessage, Header, TunnelClose, TunnelData, TunnelResponse, TunnelWindow, control_message,
    tunnel_close::Reason,
};

/// A response without fields and body that ends at once.
pub fn response(id: &str, status: u32) -> TunnelResponse {
    TunnelResponse { id: id.to_owned(), status, end_stream: true, ..TunnelResponse::default() }
}

/// The head of a response of 200 whose body is yet to come.
pub fn head(id: &str) -> TunnelResponse {
    TunnelResponse { end_stream: false, ..response(id, 200) }
}

/// A whole response of 200.
pub fn answer(id: &str, body: &'static str) -> TunnelResponse {
    TunnelResponse { body: Bytes::from_static(body.as_bytes()), ..response(id, 200) }
}

/// A header field.
pub fn header(name: &str, value: impl AsRef<[u8]>) -> Header {
    Header { name: name.to_owned(), value: Bytes::copy_from_slice(value.as_ref()) }
}

/// A part of a body.
pub fn data(id: &str, chunk: impl Into<Bytes>) -> TunnelData {
    TunnelData { id: id.to_owned(), chunk: chunk.into(), end_stream: false }
}

/// The last part of a body.
pub fn last_data(id: &str, chunk: impl Into<Bytes>) -> TunnelData {
    TunnelData { end_stream: true, ..data(id, chunk) }
}

/// The end of an exchange or of one of its halves.
pub fn close(id: &str, reason: Reason) -> TunnelClose {
    TunnelClose { id: id.to_owned(), reason: reason.into(), ..TunnelClose::default() }
}

/// Credit for a request's body.
pub fn window(id: &str, credit: u32) -> TunnelWindow {
    TunnelWindow { id: id.to_owned(), credit }
}

/// A PING.
pub fn ping(payload: impl Into<Bytes>) -> ControlMessage {
    ControlMessage { r#type: control_message::Type::Ping.into(), payload: payload.into() }
}

/// A PONG.
pub fn pong(payload: impl Into<Bytes>) -> ControlMessage {
    ControlMessage { r#type: control_message::Type::Pong.into(), payload: payload.into() }
}
