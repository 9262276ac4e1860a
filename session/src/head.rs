use http::{StatusCode, Version};
use proto::{TunnelResponse, headers};

/// A response head that was checked: nothing in it can break the framing of the hop that sends it on.
#[derive(Debug)]
pub struct ResponseHead {
    /// A final status.
    pub status: StatusCode,
    /// Fields and declared length.
    pub fields: headers::Fields,
    /// The reason phrase, if the service used one of its own.
    pub reason: Option<Box<str>>,
    /// What the service answered with.
    pub version: Version,
}

impl ResponseHead {
    /// Checks what an agent sent. The error says which rule was broken, for a log.
    pub(crate) fn from_wire(response: &mut TunnelResponse) -> Result<Self, &'static str> {
        let status = u16::try_from(response.status).ok().filter(|status| (200..600).contains(status));
        let status = status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or("a status that is not final")?;
        let fields = std::mem::take(&mut response.headers);
        let fields =
            headers::from_wire(fields, response.content_length).map_err(|_| "invalid header fields")?;
        let reason = std::mem::take(&mut response.reason);
        if !reason.bytes().all(|b| b == b'\t' || (b' '..0x7f).contains(&b) || b >= 0x80) {
            return Err("a reason phrase with control characters");
        }
        let version = response.version().into();
        Ok(Self { status, fields, reason: (!reason.is_empty()).then(|| reason.into()), version })
    }
}
