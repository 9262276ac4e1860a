//! From a frame to the request that the local service gets.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{CONTENT_LENGTH, FORWARDED, HOST, InvalidHeaderValue},
};
use http_body::{Body, Frame, SizeHint};
use link::Abort;
use proto::{TunnelRequest, headers};
use uuid::Uuid;

use super::Receiver;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A request that no HTTP client could send.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum InvalidRequest {
    #[error("the method is not an HTTP token")]
    Method,
    #[error("the path is not a request target")]
    Path,
    #[error("the authority, scheme or client address is not a field value")]
    Value(#[from] InvalidHeaderValue),
    #[error("invalid fields: {0}")]
    Headers(#[from] headers::InvalidHeaders),
}

/// Builds the request. The body is the one inside the frame if that ends the request, else what `receiver` gives.
pub(super) fn build(
    id: Uuid,
    request: TunnelRequest,
    receiver: Receiver,
) -> Result<Request<RequestBody>, InvalidRequest> {
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| InvalidRequest::Method)?;
    let uri: Uri = request.path.parse().map_err(|_| InvalidRequest::Path)?;
    if uri.authority().is_some() || !(request.path.starts_with('/') || request.path == "*") {
        return Err(InvalidRequest::Path);
    }
    let body =
        if request.end_stream { RequestBody::Whole(request.body) } else { RequestBody::Streaming(receiver) };
    let fields = headers::from_wire(request.headers, request.content_length)?;
    let mut headers = fields.headers;
    if let Some(length) = fields.content_length {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    headers.insert(HOST, HeaderValue::try_from(&request.authority)?);
    headers.insert(X_REQUEST_ID, HeaderValue::try_from(id.to_string())?);
    forwarded(&mut headers, &request.client_addr, &request.scheme, &request.authority)?;

    let mut http = Request::new(body);
    *http.method_mut() = method;
    *http.uri_mut() = uri;
    *http.headers_mut() = headers;
    Ok(http)
}

/// Says whom the request comes from (RFC 7239, and the older names that everybody reads). What the client itself
/// claimed is gone by now: the gateway lets it pass only from proxies that it trusts.
fn forwarded(
    headers: &mut HeaderMap,
    client: &str,
    scheme: &str,
    authority: &str,
) -> Result<(), InvalidHeaderValue> {
    let Ok(client) = client.parse::<SocketAddr>() else { return Ok(()) };
    let ip = client.ip();
    let node = if ip.is_ipv6() { format!("\"[{ip}]\"") } else { ip.to_string() };
    let element = format!("for={node};host=\"{authority}\";proto={scheme}");
    append(headers, X_FORWARDED_FOR, &ip.to_string())?;
    append(headers, FORWARDED, &element)?;
    if !headers.contains_key(&X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::try_from(scheme)?);
    }
    if !headers.contains_key(&X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST, HeaderValue::try_from(authority)?);
    }
    Ok(())
}

/// Adds one element to a comma-separated list.
fn append(headers: &mut HeaderMap, name: HeaderName, element: &str) -> Result<(), InvalidHeaderValue> {
    let before: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
    let value = if before.is_empty() {
        HeaderValue::try_from(element)?
    } else {
        let mut list = before.join(&b", "[..]);
        list.extend_from_slice(b", ");
        list.extend_from_slice(element.as_bytes());
        HeaderValue::from_bytes(&list)?
    };
    headers.insert(name, value);
    Ok(())
}

/// The body that the local service gets.
#[derive(Debug)]
pub(super) enum RequestBody {
    Whole(Bytes),
    Streaming(Receiver),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Abort;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Abort>>> {
        match self.get_mut() {
            Self::Whole(body) => {
                let body = std::mem::take(body);
                Poll::Ready((!body.is_empty()).then(|| Ok(Frame::data(body))))
            }
            Self::Streaming(receiver) => {
                let chunk = ready!(receiver.poll_chunk(cx));
                Poll::Ready(match chunk {
                    Some(chunk) => Some(chunk.map(Frame::data)),
                    None => receiver.take_trailers().map(|trailers| Ok(Frame::trailers(trailers))),
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(body) if body.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Self::Streaming(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_client_is_named() {
        let mut fields = HeaderMap::new();
        forwarded(&mut fields, "192.0.2.7:4711", "http", "myapp.example.com").unwrap();
        let expected = headers(&[
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "myapp.example.com"),
            ("forwarded", "for=192.0.2.7;host=\"myapp.example.com\";proto=http"),
        ]);
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_client_behind_trusted_proxies_is_added_to_their_list() {
        let mut fields = headers(&[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")]);
        forwarded(&mut fields, "[2001:db8::1]:4711", "http", "myapp.example.com").unwrap();
        assert_eq!(fields["x-forwarded-for"], "203.0.113.9, 2001:db8::1");
        assert_eq!(fields["x-forwarded-proto"], "https");
        assert_eq!(fields["forwarded"], "for=\"[2001:db8::1]\";host=\"myapp.example.com\";proto=http");
    }
}
