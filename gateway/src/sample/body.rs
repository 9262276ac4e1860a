use std::{
    error::Error,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::IntervalStream;

/// The body of any response here.
pub(super) type Body = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// What `/big` is made of: the memory of a response is this constant, shared.
static CHUNK: [u8; 64 * 1024] = [b'.'; 64 * 1024];

pub(super) fn text(status: StatusCode, text: String) -> Response<Body> {
    whole(status, "text/plain; charset=utf-8", text)
}

pub(super) fn whole(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    with_type(status, content_type, body.boxed_unsync())
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

pub(super) fn streamed(incoming: Incoming) -> Body {
    incoming.map_err(Into::into).boxed_unsync()
}

/// `size` bytes.
pub(super) fn big(size: u64) -> Response<Body> {
    let chunks = stream::unfold(size, |left| async move {
        let length = left.min(CHUNK.len() as u64);
        (length > 0).then(|| (Bytes::from_static(&CHUNK[..length as usize]), left - length))
    });
    let mut response = with_type(StatusCode::OK, "application/octet-stream", from_stream(chunks));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    response
}

/// An event at once and after each `interval`, `count` in all or without end. Each carries the time of its making, in
/// milliseconds since the Unix epoch, so that a reader can tell how long it was on its way.
pub(super) fn events(interval: Duration, count: Option<usize>) -> Response<Body> {
    // An interval of zero would panic.
    let mut interval = tokio::time::interval(interval.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ticks = IntervalStream::new(interval).take(count.unwrap_or(usize::MAX)).enumerate();
    let events = ticks.map(|(number, _)| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Bytes::from(format!("id: {number}\ndata: {{\"event\":{number},\"time\":{now}}}\n\n"))
    });
    let mut response = with_type(StatusCode::OK, "text/event-stream", from_stream(events));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn from_stream(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    StreamBody::new(chunks.map(|chunk| Ok(Frame::data(chunk)))).boxed_unsync()
}

fn with_type(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
