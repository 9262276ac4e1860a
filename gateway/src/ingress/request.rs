//! From the client's request to the frame that opens its exchange.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Uri,
    header::{EXPECT, FORWARDED, HOST},
    request::Parts,
};
use hyper::body::Incoming;
use link::{Beginning, Ending};
use proto::{
    HttpVersion, TargetForm, TunnelRequest,
    headers::{self, InvalidHeaders},
};
use uuid::Uuid;

use crate::error::IngressError;

/// Fields that say whom a request came from or which one it is. Nobody outside is believed.
const NOT_BELIEVED: [HeaderName; 6] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-request-id"),
    FORWARDED,
    // Answered by this hop, when the body is first read.
    EXPECT,
];

/// A request on its way to an agent.
pub(super) struct Outgoing {
    /// The first frame, with as much of the body as was there.
    pub(super) head: TunnelRequest,
    /// What follows it; nothing if the head ends the stream.
    pub(super) rest: Rest,
}

/// A request body behind its beginning.
pub(super) struct Rest {
    pub(super) body: Incoming,
    /// What was there but did not fit into the head.
    pub(super) chunk: Bytes,
    /// How the body ended, if it has.
    pub(super) ending: Option<Ending<hyper::Error>>,
}

/// Prepares a request for the link.
///
/// # Errors
/// [`IngressError`] if it cannot be carried.
pub(super) fn outgoing(
    id: Uuid,
    mut parts: Parts,
    mut body: Incoming,
    client: SocketAddr,
    authority: String,
    inline_limit: usize,
) -> Result<Outgoing, IngressError> {
    strip(&mut parts.headers);
    let (headers, content_length) = headers::to_wire(&parts.headers).map_err(|invalid| match invalid {
        InvalidHeaders::TooLarge => IngressError::HeadTooLarge,
        _ => IngressError::BadFraming,
    })?;
    let Beginning { inline, rest, ending } = Beginning::of(&mut body, inline_limit);
    let end_stream = rest.is_empty() && matches!(ending, Some(Ending::Clean));
    let head = TunnelRequest {
        id: id.to_string(),
        method: parts.method.as_str().to_owned(),
        path: path(&parts.uri),
        headers,
        body: inline,
        end_stream,
        authority,
        scheme: "http".to_owned(),
        version: HttpVersion::from(parts.version).into(),
        target_form: target_form(&parts.uri).into(),
        content_length,
        client_addr: client.to_string(),
        ..TunnelRequest::default()
    };
    Ok(Outgoing { head, rest: Rest { body, chunk: rest, ending } })
}

fn strip(headers: &mut HeaderMap) {
    headers.remove(HOST); // travels as the authority
    for name in &NOT_BELIEVED {
        headers.remove(name);
    }
}

/// Path and query exactly as received.
fn path(uri: &Uri) -> String {
    match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
        None | Some("") => "/".to_owned(),
        Some(text) if text.starts_with('?') => format!("/{text}"),
        Some(text) => text.to_owned(),
    }
}

fn target_form(uri: &Uri) -> TargetForm {
    match uri.path() {
        "*" => TargetForm::Asterisk,
        _ if uri.authority().is_some() => TargetForm::Absolute,
        _ => TargetForm::Origin,
    }
}
