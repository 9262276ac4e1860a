//! From the client's request to the frame that opens its exchange.

use bytes::Bytes;
use proto::{
    Fields, TunnelRequest,
    headers::{EndToEnd, InvalidHeaders},
    id_text, limits,
};
use uuid::Uuid;

use super::{deadline, head::Head};
use crate::{
    edge::{self, Admission},
    error::IngressError,
};

/// What of a request's body is there when its exchange opens.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// Its beginning.
    pub(crate) inline: Bytes,
    /// Whether that is all.
    pub(crate) end: bool,
}

/// Prepares a request for the link.
///
/// # Errors
/// [`IngressError`] if it cannot be carried.
pub(super) fn outgoing(
    id: Uuid,
    head: Head,
    authority: Bytes,
    begun: Begun,
    admission: &Admission,
) -> Result<TunnelRequest, IngressError> {
    let hop = edge::next_hop(&head.fields)?;
    let client = &admission.client;
    let timeout_ms = deadline::of(&head.fields);
    let mut fields = head.fields;
    fields.retain(|field| !is_dropped(&field.name, client.is_trusted));
    let EndToEnd { mut fields, content_length } = EndToEnd::of(fields).map_err(|invalid| match invalid {
        InvalidHeaders::TooLarge => IngressError::HeadTooLarge,
        _ => IngressError::BadFraming,
    })?;
    // Behind the fields of this hop: a client's `connection` could name what is added here.
    if let Some(policy) = &admission.policy {
        policy.request_fields.apply(&mut fields);
    }
    fields.push(edge::HOPS, hop.text());
    bounded(&fields)?;
    Ok(TunnelRequest {
        id: id_text(id),
        method: head.method,
        path: head.target.path,
        headers: fields.into_wire(),
        body: begun.inline,
        end_stream: begun.end,
        authority,
        scheme: client.scheme.to_owned(),
        version: head.version.into(),
        target_form: head.target.form.into(),
        content_length,
        upgrade: head.upgrade.map(|token| String::from_utf8_lossy(&token).into_owned()).unwrap_or_default(),
        expect_continue: head.expect_continue,
        client_addr: client.addr.to_string(),
        timeout_ms,
        ..TunnelRequest::default()
    })
}

/// Whether a field stays behind: it belongs to the gateway, or says whom the request comes from and nobody vouches for that.
fn is_dropped(name: &[u8], is_trusted: bool) -> bool {
    is_own(name) || edge::is_claim(name) && !is_trusted || name.contains(&b'_') && is_disguised(name)
}

/// `host` travels as the authority, `expect` as a flag; the rest is for this hop, or for the gateway to say.
fn is_own(name: &[u8]) -> bool {
    matches!(
        name,
        b"host"
            | b"expect"
            | b"x-request-id"
            | b"indranet-hops"
            | b"indranet-error"
            | b"http2-settings"
            | b"proxy-authorization"
    )
}

/// Whether a service could take the field for another one: CGI and its heirs make no difference between `_` and `-`.
fn is_disguised(name: &[u8]) -> bool {
    let plain: Vec<u8> = name.iter().map(|byte| if *byte == b'_' { b'-' } else { *byte }).collect();
    is_own(&plain) || edge::is_claim(&plain) || matches!(&plain[..], b"content-length" | b"transfer-encoding")
}

/// The agent refuses more, and it would look like its fault.
fn bounded(fields: &Fields) -> Result<(), IngressError> {
    let bytes: usize = fields.iter().map(|field| field.name.len() + field.value.len()).sum();
    let within = fields.len() <= limits::MAX_HEADERS && bytes <= limits::MAX_HEAD_BYTES;
    within.then_some(()).ok_or(IngressError::HeadTooLarge)
}

#[cfg(test)]
mod tests;
