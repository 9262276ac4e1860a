use bytes::Bytes;
use http::StatusCode;
use proto::{
    TunnelResponse,
    fields::{is_field_value, is_token},
    headers::EndToEnd,
};

/// Longest reason phrase that is passed on, in bytes.
const MAX_REASON: usize = 256;

/// A response head that was checked: nothing in it can break the framing of the hop that sends it on.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status: interim (1xx), switching (101) or final.
    pub status: StatusCode,
    /// Fields and declared length.
    pub message: EndToEnd,
    /// The reason phrase, if the service used one of its own.
    pub reason: Option<Bytes>,
    /// Whether more heads follow, the last of which is the answer.
    pub interim: bool,
    /// The protocol that the connection switches to, with status 101.
    pub upgrade: Option<Bytes>,
}

impl ResponseHead {
    /// Checks what an agent sent. The error says which rule was broken, for a log.
    pub(crate) fn from_wire(response: &mut TunnelResponse) -> Result<Self, &'static str> {
        let status = u16::try_from(response.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or("a status that is none")?;
        match (response.informational, status.as_u16()) {
            (false, 101 | 200..600) | (true, 100 | 102..200) => {}
            (false, _) => return Err("a status that is not final"),
            (true, _) => return Err("a status that is not an interim one"),
        }
        let upgrade = Bytes::from(std::mem::take(&mut response.upgrade));
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        if switches && !upgrade.split(|byte| *byte == b'/').all(is_token) {
            return Err("a 101 that does not say which protocol follows");
        }
        let fields = std::mem::take(&mut response.headers);
        let message =
            EndToEnd::from_wire(fields, response.content_length).map_err(|_| "invalid header fields")?;
        let reason = std::mem::take(&mut response.reason);
        if reason.len() > MAX_REASON || !is_field_value(reason.as_bytes()) {
            return Err("a reason phrase that is too long or holds control characters");
        }
        let reason = (!reason.is_empty()).then(|| Bytes::from(reason));
        Ok(Self {
            status,
            message,
            reason,
            interim: response.informational,
            upgrade: switches.then_some(upgrade),
        })
    }
}
