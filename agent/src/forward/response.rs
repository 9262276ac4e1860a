//! From the local service's response to frames.

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::Extensions;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::ext::ReasonPhrase;
use link::{Abort, Beginning, Ending};
use proto::{Header, HttpVersion, TunnelResponse, headers, limits, tunnel_close::Reason};
use tracing::debug;
use uuid::Uuid;

use super::{Outcome, Sender};
use crate::{UpstreamBody, UpstreamError};

/// Why a response was not sent to its end.
enum Cut {
    /// The exchange ended, or the gateway wants no more.
    Exchange(Abort),
    /// The local service broke off.
    Upstream(UpstreamError),
}

/// Sends a response. A body that breaks off is aborted, never ended.
pub(super) async fn send(id: Uuid, response: http::Response<UpstreamBody>, mut sender: Sender) -> Outcome {
    let (head, mut body) = response.into_parts();
    if !(200..600).contains(&head.status.as_u16()) {
        let what =
            format!("the local service answered with status {}, which is no final one", head.status.as_u16());
        sender.abort(Reason::UpstreamReset, &what);
        return Outcome { status: Some(502), ..Outcome::failed(what) };
    }
    let (fields, content_length) = match headers::to_wire(&head.headers) {
        Ok(head) => head,
        Err(invalid) => {
            sender.abort(Reason::TooLarge, &invalid.to_string());
            return Outcome::failed(invalid);
        }
    };
    let Beginning { inline, rest, ending } = Beginning::of(&mut body, limits::MAX_CHUNK);
    let end_stream = rest.is_empty() && matches!(ending, Some(Ending::Clean));
    let mut outcome = Outcome { status: Some(head.status.as_u16()), bytes: inline.len() as u64, error: None };
    let length = inline.len();
    let frame = TunnelResponse {
        id: id.to_string(),
        status: head.status.as_u16().into(),
        headers: fields,
        body: inline,
        end_stream,
        version: HttpVersion::from(head.version).into(),
        content_length,
        reason: reason_phrase(&head.extensions),
        ..TunnelResponse::default()
    };
    sender.send_head(frame.into(), length, end_stream);
    if end_stream {
        return outcome;
    }
    match send_rest(body, rest, ending, &mut sender, &mut outcome.bytes).await {
        Ok(trailers) => sender.finish(trailers),
        Err(Cut::Exchange(abort)) => outcome.error = Some(abort.to_string()),
        Err(Cut::Upstream(error)) => {
            debug!(%id, %error, "the local service broke off");
            sender.abort(Reason::UpstreamReset, "the local service broke off in the middle");
            outcome.error = Some(error.to_string());
        }
    }
    outcome
}

async fn send_rest(
    mut body: UpstreamBody,
    rest: Bytes,
    mut ending: Option<Ending<UpstreamError>>,
    sender: &mut Sender,
    bytes: &mut u64,
) -> Result<Vec<Header>, Cut> {
    send_chunk(rest, sender, bytes).await?;
    loop {
        if let Some(ending) = ending.take() {
            if matches!(ending, Ending::Trailers(_)) {
                // Behind trailers comes nothing but the end, and only who has seen it gives the connection back.
                let _ = body.frame().now_or_never();
            }
            return end(ending);
        }
        let frame = tokio::select! {
            frame = body.frame() => frame,
            // A service may be silent for hours; its client may leave meanwhile.
            abort = sender.stopped() => return Err(Cut::Exchange(abort)),
        };
        match frame {
            None => ending = Some(Ending::Clean),
            Some(Err(error)) => ending = Some(Ending::Broken(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    send_chunk(data, sender, bytes).await?;
                    // Asked now and not at the next turn, the end travels with the last chunk.
                    ending = body.is_end_stream().then_some(Ending::Clean);
                }
                Err(other) => ending = other.into_trailers().ok().map(Ending::Trailers),
            },
        }
    }
}

async fn send_chunk(chunk: Bytes, sender: &mut Sender, bytes: &mut u64) -> Result<(), Cut> {
    *bytes += chunk.len() as u64;
    if chunk.is_empty() { Ok(()) } else { sender.send(chunk).await.map_err(Cut::Exchange) }
}

fn end(ending: Ending<UpstreamError>) -> Result<Vec<Header>, Cut> {
    match ending {
        Ending::Clean => Ok(Vec::new()),
        // Too large a trailer section is left out rather than the body spoilt.
        Ending::Trailers(trailers) => Ok(headers::trailers_to_wire(&trailers).unwrap_or_default()),
        Ending::Broken(error) => Err(Cut::Upstream(error)),
    }
}

/// hyper keeps a reason phrase only if it is not the usual one.
fn reason_phrase(extensions: &Extensions) -> String {
    let phrase = extensions.get::<ReasonPhrase>().map(ReasonPhrase::as_bytes).unwrap_or_default();
    String::from_utf8_lossy(phrase).into_owned()
}
