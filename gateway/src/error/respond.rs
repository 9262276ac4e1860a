use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER},
};
use uuid::Uuid;

use super::{Explanation, IngressError, format::Format, render};

const INDRANET_ERROR: HeaderName = HeaderName::from_static("indranet-error");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");

/// The response for an error, in the form that the request's header fields ask for: a problem document, a page or a
/// line of text by `accept`, a trailers-only reply for a gRPC call. For HEAD the caller leaves the body out.
pub(crate) fn respond(
    error: &IngressError,
    request_id: Uuid,
    request_headers: &HeaderMap,
) -> Response<Bytes> {
    let explanation = error.explanation();
    let mut response = match grpc_content_type(request_headers) {
        Some(content_type) => grpc(&explanation, content_type),
        None => http(&explanation, request_id, Format::preferred(request_headers)),
    };
    let headers = response.headers_mut();
    headers.insert(INDRANET_ERROR, HeaderValue::from_static(explanation.code));
    headers.insert(X_REQUEST_ID, ascii(request_id.to_string()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(delay) = error.retry_after() {
        // Zero would invite a client to hammer.
        headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    if explanation.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, METHODS);
    }
    response
}

fn http(explanation: &Explanation, request_id: Uuid, format: Format) -> Response<Bytes> {
    let (content_type, body) = match format {
        Format::Json => ("application/problem+json", render::json(explanation, request_id)),
        Format::Html => ("text/html; charset=utf-8", render::html(explanation, request_id)),
        Format::Text => ("text/plain; charset=utf-8", render::text(explanation, request_id)),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = explanation.status;
    let length = response.body().len();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// A gRPC client reads its error from `grpc-status`; trailers-only puts it in the head.
fn grpc(explanation: &Explanation, content_type: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(GRPC_STATUS, HeaderValue::from(grpc_status(explanation.status)));
    headers.insert(GRPC_MESSAGE, ascii(percent_encoded(explanation.detail)));
    response
}

/// The content type of the reply if the request is a gRPC call.
fn grpc_content_type(headers: &HeaderMap) -> Option<&'static str> {
    let sent = headers.get(CONTENT_TYPE)?.to_str().ok()?.to_ascii_lowercase();
    match sent.strip_prefix("application/grpc")? {
        "" => Some("application/grpc"),
        rest if rest.starts_with(['+', ';']) => Some("application/grpc"),
        rest if rest.starts_with("-web") => Some("application/grpc-web"),
        _ => None,
    }
}

/// The nearest code of <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>.
fn grpc_status(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 | 417 => 3,                   // INVALID_ARGUMENT
        404 => 5,                   // NOT_FOUND
        405 => 12,                  // UNIMPLEMENTED
        413 | 414 | 429 | 431 => 8, // RESOURCE_EXHAUSTED
        502 | 503 => 14,            // UNAVAILABLE
        504 => 4,                   // DEADLINE_EXCEEDED
        _ => 13,                    // INTERNAL
    }
}

/// Encodes `grpc-message`: all but visible ASCII and space, and the percent sign.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("the text is visible ASCII")
}
