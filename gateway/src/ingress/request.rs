//! From the client's request to the frame that opens its exchange.

use bytes::Bytes;
use proto::{
    Header, TunnelRequest,
    headers::{EndToEnd, InvalidHeaders},
    id_text,
};
use uuid::Uuid;

use super::head::Head;
use crate::{client::Client, error::IngressError};

/// Fields that say whom a request came from, which one it is, or what the gateway itself made of it. Nobody outside is
/// believed. `host` travels as the authority, `expect` as a flag.
const NOT_BELIEVED: [&[u8]; 11] = [
    b"host",
    b"expect",
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-real-ip",
    b"x-request-id",
    b"http2-settings",
    b"proxy-authorization",
];

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
    client: &Client,
) -> Result<TunnelRequest, IngressError> {
    let mut fields = head.fields;
    fields.retain(|field| !is_not_believed(field));
    let EndToEnd { fields, content_length } = EndToEnd::of(fields).map_err(|invalid| match invalid {
        InvalidHeaders::TooLarge => IngressError::HeadTooLarge,
        _ => IngressError::BadFraming,
    })?;
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
        ..TunnelRequest::default()
    })
}

fn is_not_believed(field: &Header) -> bool {
    NOT_BELIEVED.contains(&&*field.name)
}
