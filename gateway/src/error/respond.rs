use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, RETRY_AFTER,
        WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Explanation, IngressError, format::Format, render};

const INDRANET_ERROR: HeaderName = HeaderName::from_static("indranet-error");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");
/// The page may use its own style and nothing else; the hash is that of the style.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'sha256-r6AR64LPMp5mWZWb2pWfl+K1wqGCOatmF5CYQM+9iLk='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"indranet\", charset=\"UTF-8\"");

/// What a browser is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pages {
    /// A page that explains.
    #[default]
    Pretty,
    /// The line of text that programs get.
    Plain,
}

/// The response for an error, in the form that the request's header fields ask for: a problem document, a page or a
/// line of text by `accept`, a trailers-only reply for a gRPC call. For HEAD the caller leaves the body out.
pub(crate) fn respond(
    error: &IngressError,
    request_id: Uuid,
    request_headers: &HeaderMap,
    pages: Pages,
) -> Response<Bytes> {
    if let IngressError::AcmeChallenge { answer } = error {
        return proof(answer.clone(), request_id);
    }
    let explanation = error.explanation();
    let mut response = match (grpc_content_type(request_headers), Format::preferred(request_headers), pages) {
        (Some(content_type), ..) => grpc(&explanation, content_type),
        (None, Format::Html, Pages::Plain) => http(&explanation, request_id, Format::Text),
        (None, format, _) => http(&explanation, request_id, format),
    };
    let headers = response.headers_mut();
    if !explanation.status.is_redirection() {
        headers.insert(INDRANET_ERROR, HeaderValue::from_static(explanation.code));
    }
    headers.insert(X_REQUEST_ID, ascii(request_id.to_string()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(delay) = error.retry_after() {
        // Zero would invite a client to hammer.
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    match error {
        IngressError::MethodNotAllowed => drop(headers.insert(ALLOW, METHODS)),
        IngressError::Unauthorized => drop(headers.insert(WWW_AUTHENTICATE, BASIC)),
        IngressError::HttpsOnly { location } => {
            // Host and path were checked when they were read.
            if let Ok(location) = HeaderValue::from_maybe_shared(location.clone()) {
                headers.insert(LOCATION, location);
            }
        }
        _ => {}
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
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    if format == Format::Html {
        headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    }
    response
}

/// What an authority reads that looks whether a name leads here (RFC 8555, section 8.3).
fn proof(answer: Bytes, request_id: Uuid) -> Response<Bytes> {
    let length = answer.len();
    let mut response = Response::new(answer);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(X_REQUEST_ID, ascii(request_id.to_string()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A gRPC client reads its error from `grpc-status`; trailers-only puts it in the head.
fn grpc(explanation: &Explanation, content_type: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(GRPC_STATUS, HeaderValue::from(grpc_status(explanation.status)));
    headers.insert(GRPC_MESSAGE, ascii(percent_encoded(&explanation.text.to_string())));
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
        308 => 9,                   // FAILED_PRECONDITION
        400 | 417 => 3,             // INVALID_ARGUMENT
        401 => 16,                  // UNAUTHENTICATED
        403 => 7,                   // PERMISSION_DENIED
        404 => 5,                   // NOT_FOUND
        405 => 12,                  // UNIMPLEMENTED
        413 | 414 | 429 | 431 => 8, // RESOURCE_EXHAUSTED
        421 | 502 | 503 => 14,      // UNAVAILABLE
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
