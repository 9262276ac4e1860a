use uuid::Uuid;

use crate::wire::{
    AgentFrame, ControlMessage, Drain, GatewayFrame, TunnelClose, TunnelData, TunnelWindow, agent_frame,
    control_message, gateway_frame, tunnel_close,
};

/// A frame of either direction, made of the messages that both directions share.
pub trait Frame:
    prost::Message
    + Default
    + From<TunnelData>
    + From<TunnelClose>
    + From<TunnelWindow>
    + From<ControlMessage>
    + From<Drain>
    + Send
    + 'static
{
}

macro_rules! frames {
    ($($frame:ident, $module:ident { $($variant:ident($message:ident)),* })*) => {$(
        impl Frame for $frame {}
        $(impl From<$message> for $frame {
            fn from(message: $message) -> Self {
                Self { frame: Some($module::Frame::$variant(message)) }
            }
        })*
    )*};
}

frames! {
    AgentFrame, agent_frame { Data(TunnelData), Close(TunnelClose), Window(TunnelWindow), Control(ControlMessage), Drain(Drain) }
    GatewayFrame, gateway_frame { Data(TunnelData), Close(TunnelClose), Window(TunnelWindow), Control(ControlMessage), Drain(Drain) }
}

macro_rules! own_frames {
    ($($frame:ident, $module:ident { $($variant:ident($message:ident)),* })*) => {$($(
        impl From<crate::wire::$message> for $frame {
            fn from(message: crate::wire::$message) -> Self {
                Self { frame: Some($module::Frame::$variant(message)) }
            }
        }
    )*)*};
}

own_frames! {
    AgentFrame, agent_frame { Connect(ConnectRequest), Response(TunnelResponse) }
    GatewayFrame, gateway_frame { Accepted(ConnectAccepted), Error(ConnectError), Request(TunnelRequest) }
}

impl TunnelClose {
    /// A close without trailers. `message` is for logs and is cut to [`crate::limits::MAX_CLOSE_MESSAGE`] bytes.
    pub fn because(id: Uuid, reason: tunnel_close::Reason, message: &str) -> Self {
        let end = message.floor_char_boundary(crate::limits::MAX_CLOSE_MESSAGE);
        Self {
            id: id.to_string(),
            reason: reason.into(),
            message: message[..end].to_owned(),
            trailers: Vec::new(),
        }
    }
}

impl ControlMessage {
    /// A PING that the peer answers with the same payload.
    pub fn ping(payload: bytes::Bytes) -> Self {
        Self { r#type: control_message::Type::Ping.into(), payload }
    }

    /// The answer to a PING.
    pub fn pong(payload: bytes::Bytes) -> Self {
        Self { r#type: control_message::Type::Pong.into(), payload }
    }
}

/// A text in an `id` field that is not a hyphenated UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a frame is not a hyphenated UUID")]
pub struct InvalidId;

/// Reads the `id` field of a frame: a UUID in its hyphenated form (RFC 9562, section 4), nothing else.
///
/// # Errors
/// [`InvalidId`] for any other text.
pub fn parse_id(text: &str) -> Result<Uuid, InvalidId> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(InvalidId);
    }
    Uuid::try_parse(text).map_err(|_| InvalidId)
}
