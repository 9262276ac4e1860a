use bytes::Bytes;
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
    /// The field that holds a [`TunnelData`].
    const DATA: u8;

    /// The body bytes in this frame, if that is what it is.
    fn data(&self) -> Option<&TunnelData>;
}

macro_rules! frames {
    ($($frame:ident, $module:ident, $data:literal { $($variant:ident($message:ident)),* })*) => {$(
        impl Frame for $frame {
            const DATA: u8 = $data;

            fn data(&self) -> Option<&TunnelData> {
                match &self.frame {
                    Some($module::Frame::Data(data)) => Some(data),
                    _ => None,
                }
            }
        }
        $(impl From<$message> for $frame {
            fn from(message: $message) -> Self {
                Self { frame: Some($module::Frame::$variant(message)) }
            }
        })*
    )*};
}

frames! {
    AgentFrame, agent_frame, 3 { Data(TunnelData), Close(TunnelClose), Window(TunnelWindow), Control(ControlMessage), Drain(Drain) }
    GatewayFrame, gateway_frame, 4 { Data(TunnelData), Close(TunnelClose), Window(TunnelWindow), Control(ControlMessage), Drain(Drain) }
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
    AgentFrame, agent_frame { Connect(ConnectRequest), Response(TunnelResponse), Health(Health) }
    GatewayFrame, gateway_frame { Accepted(ConnectAccepted), Error(ConnectError), Request(TunnelRequest) }
}

impl TunnelClose {
    /// A close without trailers. `message` is for logs and is cut to [`crate::limits::MAX_CLOSE_MESSAGE`] bytes.
    pub fn because(id: Uuid, reason: tunnel_close::Reason, message: &str) -> Self {
        Self {
            id: id_text(id),
            reason: reason.into(),
            message: cut(message).to_owned(),
            trailers: Vec::new(),
        }
    }

    /// The message, cut to what a close may carry.
    pub fn short_message(&self) -> &str {
        cut(&self.message)
    }
}

impl ControlMessage {
    /// A PING that the peer answers with the same payload.
    pub fn ping(payload: bytes::Bytes) -> Self {
        Self { r#type: control_message::Type::Ping.into(), payload, reconnect_spread_ms: 0 }
    }

    /// The answer to a PING, with a gateway's advice for the loss of the link.
    pub fn pong(payload: bytes::Bytes, reconnect_spread_ms: u32) -> Self {
        Self { r#type: control_message::Type::Pong.into(), payload, reconnect_spread_ms }
    }
}

/// The longest beginning of `message` that fits into [`crate::limits::MAX_CLOSE_MESSAGE`] bytes.
fn cut(message: &str) -> &str {
    let fits = |end: &usize| *end <= crate::limits::MAX_CLOSE_MESSAGE;
    if fits(&message.len()) {
        return message;
    }
    let end = message.char_indices().map(|(start, _)| start).take_while(fits).last().unwrap_or(0);
    &message[..end]
}

/// A text in an `id` field that is not a hyphenated UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a frame is not a hyphenated UUID")]
pub struct InvalidId;

/// Reads the `id` field of a frame: a UUID in its hyphenated form (RFC 9562, section 4), nothing else.
///
/// # Errors
/// [`InvalidId`] for any other text.
pub fn parse_id(text: &[u8]) -> Result<Uuid, InvalidId> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(InvalidId);
    }
    Uuid::try_parse_ascii(text).map_err(|_| InvalidId)
}

/// What [`parse_id`] reads.
pub fn id_text(id: Uuid) -> Bytes {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    id.hyphenated().encode_lower(&mut text);
    Bytes::copy_from_slice(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let close =
            |text: &str| TunnelClose::because(Uuid::nil(), tunnel_close::Reason::Internal, text).message;
        assert_eq!(close("short"), "short");
        assert_eq!(close(&"x".repeat(300)).len(), 256);
        assert_eq!(close(&"\u{20ac}".repeat(100)).len(), 255);
    }

    #[test]
    fn only_hyphenated_uuids_are_ids() {
        let id = Uuid::from_u128(0x7c9e_6679_7425_40de_944b_e07f_c1f9_0ae7);
        assert_eq!(parse_id(b"7c9e6679-7425-40de-944b-e07fc1f90ae7"), Ok(id));
        assert_eq!(parse_id(&id_text(id)), Ok(id));
        for text in ["", "7c9e6679742540de944be07fc1f90ae7", "{7c9e6679-7425-40de-944b-e07fc1f90ae7}", "x"] {
            assert_eq!(parse_id(text.as_bytes()), Err(InvalidId), "{text}");
        }
    }
}
