//! What both programs answer their operators over HTTP, in one form.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// An answer, which is there as a whole.
pub type Answer = Response<Full<Bytes>>;

/// Answers a request with what `at` says of its path. Nothing can be changed over this port.
pub fn answer<B>(request: &Request<B>, at: impl FnOnce(&str) -> Answer) -> Answer {
    match *request.method() {
        Method::GET | Method::HEAD => at(request.uri().path()),
        _ => text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"),
    }
}

/// A line.
pub fn text(status: StatusCode, line: &'static str) -> Answer {
    body(status, TEXT, Bytes::from_static(line.as_bytes()))
}

/// Metrics, in the format OpenMetrics.
pub fn metrics(text: String) -> Answer {
    body(StatusCode::OK, OPENMETRICS, text.into())
}

/// A document in JSON.
pub fn json(document: Vec<u8>) -> Answer {
    body(StatusCode::OK, JSON, document.into())
}

fn body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
