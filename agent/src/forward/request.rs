//! From a frame to the request that the local service gets.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::{Method, Uri, header};
use http1::{Asked, BodyLength, Connection, is_target, write_request_head};
use proto::{
    Fields, Header, TunnelRequest,
    fields::{is_field_value, is_token},
    headers::{EndToEnd, InvalidHeaders},
};

use super::forwarded;
use crate::Upstream;

/// A request that was checked, and can be written any number of times.
#[derive(Debug)]
pub(super) struct Request {
    method: Bytes,
    path: Bytes,
    fields: Fields,
    /// What of the body came with the head: all of it if [`Request::whole`].
    pub(super) inline: Bytes,
    pub(super) length: BodyLength,
    /// Whether nothing follows.
    pub(super) whole: bool,
    pub(super) before_more: BeforeMore,
}

/// What the service must say before more than the head goes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BeforeMore {
    Nothing,
    /// 100, and then the body.
    Continue,
    /// 101, and then another protocol, one of these.
    Switch(Bytes),
}

/// A request that no HTTP client could send.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum InvalidRequest {
    #[error("the method is not an HTTP token")]
    Method,
    #[error("the path is not a request target")]
    Path,
    #[error("the authority is not a field value")]
    Authority,
    #[error("the scheme is not a token")]
    Scheme,
    #[error("the upgrade is not a field value")]
    Upgrade,
    #[error("the body is not as long as it declares")]
    Length,
    #[error("invalid fields: {0}")]
    Fields(#[from] InvalidHeaders),
}

impl Request {
    /// Checks what came over the wire, believing nothing, and adds what the service shall know. `client` is the address
    /// in the frame; `host` stands in for the authority in it.
    pub(super) fn new(
        mut frame: TunnelRequest,
        client: Option<SocketAddr>,
        host: Option<&Bytes>,
    ) -> Result<Self, InvalidRequest> {
        check(&frame)?;
        let EndToEnd { fields, content_length } =
            EndToEnd::from_wire(std::mem::take(&mut frame.headers), frame.content_length)?;
        let before_more = before_more(&frame, content_length);
        let length = match (content_length, &before_more) {
            (None, BeforeMore::Switch(_)) => BodyLength::Empty,
            (declared, _) => length(declared, frame.end_stream, frame.body.len())?,
        };

        let mut list = Fields::with_capacity(fields.len() + 8);
        list.push("host", host.unwrap_or(&frame.authority).clone());
        let theirs = fields.into_wire().into_iter();
        theirs.filter(|field| !is_ours(field)).for_each(|Header { name, value }| list.push(name, value));
        list.push("x-request-id", frame.id);
        if let Some(client) = client {
            forwarded::add(&mut list, client.ip(), &frame.scheme, &frame.authority);
        }
        if before_more == BeforeMore::Continue {
            list.push("expect", "100-continue");
        }
        Ok(Self {
            method: frame.method,
            path: frame.path,
            fields: list,
            inline: frame.body,
            length,
            whole: frame.end_stream,
            before_more,
        })
    }

    /// Appends the head as HTTP/1.1.
    pub(super) fn write_head(&self, out: &mut BytesMut) {
        let connection = match &self.before_more {
            BeforeMore::Switch(protocol) => Connection::Upgrade(protocol),
            _ => Connection::KeepAlive,
        };
        write_request_head(out, &self.method, &self.path, &self.fields, self.length.into(), connection);
    }

    /// The head as HTTP/2 has it. What it has no name for is in the service's address.
    pub(super) fn to_http2(&self, upstream: &Upstream) -> Result<http::Request<()>, InvalidRequest> {
        let authority = self.fields.get("host").filter(|host| !host.is_empty());
        let authority = authority.map_or_else(|| upstream.authority().into(), Bytes::clone);
        let uri = Uri::builder()
            .scheme(if upstream.tls { "https" } else { "http" })
            .authority(&authority[..])
            .path_and_query(&self.path[..])
            .build()
            .map_err(|_| InvalidRequest::Path)?;
        let mut request = http::Request::new(());
        *request.method_mut() = Method::from_bytes(&self.method).map_err(|_| InvalidRequest::Method)?;
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = self.fields.to_map();
        request.headers_mut().remove(header::HOST);
        if let BodyLength::Exactly(length) = self.length {
            request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        }
        Ok(request)
    }

    /// Whether it is a call of gRPC.
    pub(super) fn is_grpc(&self) -> bool {
        const GRPC: &[u8] = b"application/grpc";
        let kind = self.fields.get("content-type").and_then(|value| value.get(..GRPC.len()));
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(GRPC))
    }

    /// Whether it asks for another protocol.
    pub(super) fn is_upgrade(&self) -> bool {
        matches!(self.before_more, BeforeMore::Switch(_))
    }

    /// What its response answers.
    pub(super) fn asked(&self) -> Asked {
        Asked { head: self.method == "HEAD", upgrade: self.is_upgrade() }
    }

    /// Whether the head is all that there is.
    pub(super) fn is_bodiless(&self) -> bool {
        self.whole && self.inline.is_empty()
    }

    /// Whether sending it twice does nothing twice (RFC 9110, section 9.2.1), and all of it is still here.
    pub(super) fn is_repeatable(&self) -> bool {
        self.whole && matches!(&self.method[..], b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE")
    }
}

fn check(frame: &TunnelRequest) -> Result<(), InvalidRequest> {
    let quotable = |authority: &[u8]| !authority.iter().any(|byte| matches!(byte, b'"' | b'\\'));
    if !is_token(&frame.method) {
        Err(InvalidRequest::Method)
    } else if !(frame.path.starts_with(b"/") || frame.path == "*") || !is_target(&frame.path) {
        Err(InvalidRequest::Path)
    } else if !is_field_value(&frame.authority) || !quotable(&frame.authority) {
        Err(InvalidRequest::Authority)
    } else if !is_token(frame.scheme.as_bytes()) {
        Err(InvalidRequest::Scheme)
    } else if !is_field_value(frame.upgrade.as_bytes()) {
        Err(InvalidRequest::Upgrade)
    } else {
        Ok(())
    }
}

/// A request with a body is never an upgrade: the other protocol would begin in the middle of it.
fn before_more(frame: &TunnelRequest, declared: Option<u64>) -> BeforeMore {
    let bodiless = frame.body.is_empty() && declared.is_none_or(|length| length == 0);
    if !frame.upgrade.is_empty() && bodiless {
        BeforeMore::Switch(Bytes::copy_from_slice(frame.upgrade.as_bytes()))
    } else if frame.expect_continue && !frame.end_stream {
        BeforeMore::Continue
    } else {
        BeforeMore::Nothing
    }
}

/// How the service learns where the body ends. A body that is here and did not declare its length has one all the same.
fn length(declared: Option<u64>, whole: bool, inline: usize) -> Result<BodyLength, InvalidRequest> {
    let inline = inline as u64;
    match declared {
        Some(length) if inline > length || (whole && inline < length) => Err(InvalidRequest::Length),
        Some(length) => Ok(BodyLength::Exactly(length)),
        None if whole && inline == 0 => Ok(BodyLength::Empty),
        None if whole => Ok(BodyLength::Exactly(inline)),
        None => Ok(BodyLength::Chunked),
    }
}

/// Fields that we write ourselves, whatever the gateway let pass.
fn is_ours(field: &Header) -> bool {
    matches!(&field.name[..], b"host" | b"expect" | b"x-request-id")
}
