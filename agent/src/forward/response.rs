//! From the local service's response to frames.

use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use http1::{ResponseHead, Version};
use proto::{Fields, HttpVersion, TunnelResponse, headers, headers::EndToEnd, id_text};
use uuid::Uuid;

use super::{
    Failure, Outcome, Sender,
    download::{Download, End},
    exchange::Exchange,
};
use crate::upstream::{Pool, UpstreamError};

/// Longest reason phrase that the gateway takes, in bytes.
const MAX_REASON: usize = 256;

/// How long a connection may wait for another request, if the service said.
type Patience = Option<Duration>;

/// Sends a final response, and gives the connection to `pool` if it is of use to others. A body that breaks off is aborted,
/// never ended. `inline` is as much as may travel inside the head.
pub(super) async fn relay(
    id: Uuid,
    mut head: ResponseHead,
    mut exchange: Exchange,
    mut sender: Sender,
    inline: usize,
    pool: &Pool,
) -> Outcome {
    if head.status >= 600 {
        return Outcome::default().fail(UpstreamError::Status(head.status), sender);
    }
    let mut outcome = Outcome { status: Some(head.status), ..Outcome::default() };
    let reusable = head.keep_alive.then(|| patience(&head.fields));
    let mut download = Download::new(head.body);
    exchange.upload.on_answer();

    let beginning = poll_fn(|cx| Poll::Ready(download.beginning(&mut exchange.connection, inline, cx))).await;
    let (mut frame, body) = match (frame(id, &mut head), beginning) {
        (Ok(frame), Ok(body)) => (frame, body),
        (Err(error), _) | (_, Err(error)) => return outcome.fail(error, sender),
    };
    drop(head);
    let length = body.len();
    frame.body = body;
    frame.end_stream = matches!(download.end, Some(End(None)));
    if frame.end_stream {
        outcome.bytes = download.bytes;
        release(exchange, reusable, pool);
        sender.send_head(frame.into(), length, true);
        return outcome;
    }
    sender.send_head(frame.into(), length, false);
    let relayed = poll_fn(|cx| poll(&mut exchange, &mut download, &mut sender, cx)).await;
    outcome.bytes = download.bytes;
    match relayed {
        Ok(trailers) => {
            release(exchange, reusable, pool);
            // Too large a trailer section is left out rather than the body spoilt.
            let trailers = trailers.and_then(|trailers| headers::trailers_to_wire(trailers).ok());
            sender.finish(trailers.unwrap_or_default());
            outcome
        }
        Err(failure) => outcome.cut(failure, sender),
    }
}

/// Gives the connection to others, if it is of use to them. Before the end of the response leaves, so that who has that and
/// asks again finds it free.
fn release(exchange: Exchange, reusable: Option<Patience>, pool: &Pool) {
    // A service that answered in full before it took the whole request may never read the rest. Whoever speaks behind its
    // response is not understood.
    let whole = exchange.upload.is_written() && exchange.connection.input.is_empty();
    if let Some(patience) = reusable.filter(|_| whole) {
        pool.put(exchange.connection, patience);
    }
}

fn poll(
    exchange: &mut Exchange,
    download: &mut Download,
    sender: &mut Sender,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Fields>, Failure>> {
    // A service may take the rest of the request while it answers.
    exchange.poll_upload(cx)?;
    download.poll(&mut exchange.connection, sender, cx)
}

/// The frame of a head, whose fields are taken.
pub(super) fn frame(id: Uuid, head: &mut ResponseHead) -> Result<TunnelResponse, UpstreamError> {
    let mut fields = std::mem::take(&mut head.fields);
    fields.remove("content-length"); // read already, and more forgivingly
    let EndToEnd { fields, .. } = EndToEnd::of(fields).map_err(UpstreamError::Fields)?;
    Ok(TunnelResponse {
        id: id_text(id),
        status: head.status.into(),
        headers: fields.into_wire(),
        version: version(head.version).into(),
        content_length: head.content_length,
        reason: reason(head.status, &head.reason),
        ..TunnelResponse::default()
    })
}

fn version(version: Version) -> HttpVersion {
    match version {
        Version::H10 => HttpVersion::HttpVersion10,
        Version::H11 => HttpVersion::HttpVersion11,
    }
}

/// The reason phrase if it is not the usual one. Nobody needs a long one.
fn reason(status: u16, reason: &Bytes) -> String {
    let usual = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    if usual.is_some_and(|usual| reason == usual) {
        return String::new();
    }
    let reason = String::from_utf8_lossy(reason);
    if reason.len() > MAX_REASON { String::new() } else { reason.into_owned() }
}

/// How long the service says that it waits for the next request: `keep-alive: timeout=5`.
fn patience(fields: &Fields) -> Option<Duration> {
    let seconds = fields.list("keep-alive").find_map(|parameter| parameter.strip_prefix(b"timeout="))?;
    let seconds = std::str::from_utf8(seconds).ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
