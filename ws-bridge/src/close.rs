//! Why a link was closed, in WebSocket's numbers (RFC 6455, section 7.4; 4000 and up are ours).

use link::CloseReason;
use proto::connect_error::Code;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

/// A close frame carries at most 125 bytes, two of them the code (RFC 6455, section 5.5).
const MAX_REASON: usize = 123;

/// The close frame that tells the peer why.
pub(crate) fn frame(reason: CloseReason) -> CloseFrame {
    let (code, text) = match reason {
        CloseReason::Gone => (1000, String::new()),
        CloseReason::Silent => (4408, "no heartbeat".to_owned()),
        CloseReason::Shutdown => (1012, "the gateway is shutting down".to_owned()),
        CloseReason::Replaced => (4409, "replaced by a newer link of the same agent".to_owned()),
        CloseReason::Withdrawn { message, .. } => (4401, message),
        CloseReason::Protocol(what) => (1002, what),
        CloseReason::Malformed(what) => (1007, what),
        CloseReason::Unsupported(what) => (1003, what),
        CloseReason::TooLarge(what) => (1009, what),
        CloseReason::Overloaded => (1013, "the agent reads too slowly".to_owned()),
        CloseReason::Refused(error) => (refusal(error.code()), error.message),
        _ => (1011, "closed".to_owned()),
    };
    CloseFrame { code: CloseCode::from(code), reason: cut(&text).into() }
}

fn refusal(code: Code) -> u16 {
    match code {
        Code::Unauthenticated | Code::ClockSkew | Code::Replayed | Code::AgentIdNotAllowed => 4401,
        Code::AgentIdInUse => 4409,
        Code::Unavailable => 1012,
        Code::Limit => 1013,
        Code::Version | Code::Protocol | Code::Unspecified => 1002,
    }
}

fn cut(text: &str) -> &str {
    let ends = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    &text[..ends.take_while(|end| *end <= MAX_REASON).last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let text = |length| frame(CloseReason::Protocol("\u{e9}".repeat(length))).reason.len();
        assert_eq!((text(3), text(61), text(62), text(500)), (6, 122, 122, 122));
    }
}
