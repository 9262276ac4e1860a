//! What of a request body follows its head.

use std::{mem, sync::Arc};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use link::{Abort, Ending};
use proto::{Fields, headers, tunnel_close::Reason};
use session::Upload;
use tracing::debug;

use hyper::body::Incoming;

use super::unread;
use crate::{
    edge::{BodyLimit, TooLarge},
    metrics::RequestMetrics,
};

/// A request body behind its beginning.
pub(super) struct Rest {
    pub(super) body: Incoming,
    /// For what is still to come.
    pub(super) limit: BodyLimit,
    /// What was there but did not fit into the head.
    pub(super) chunk: Bytes,
    /// How the body ended, if it has.
    pub(super) ending: Option<Ending<hyper::Error>>,
}

/// Carries the rest of a body to the agent, as fast as the agent takes it. A body that breaks off cancels its exchange.
pub(super) async fn run(mut rest: Rest, sender: Upload, metrics: Arc<RequestMetrics>) {
    carry(&mut rest, sender, &metrics).await;
    unread::linger(rest.body).await;
}

async fn carry(rest: &mut Rest, mut sender: Upload, metrics: &RequestMetrics) {
    match send(rest, &mut sender, metrics).await {
        Ok(Ending::Clean) => sender.finish(Vec::new()),
        // Too large a trailer section is left out rather than the body spoilt.
        Ok(Ending::Trailers(trailers)) => {
            sender.finish(headers::trailers_to_wire(trailers).unwrap_or_default());
        }
        Ok(Ending::Broken(error)) => {
            debug!(%error, "the client broke off its request");
            sender.abort(Reason::Cancelled, "the client broke off its request");
        }
        // The agent needs no more, or the exchange is over.
        Err(Failed::Unwanted(abort)) => debug!(%abort, "the rest of the request is not needed"),
        Err(Failed::TooLarge(error)) => {
            debug!(%error, "the request is broken off");
            sender.abort(Reason::TooLarge, "the request body is over the limit");
        }
    }
}

/// Why the rest of a body does not reach the agent.
enum Failed {
    Unwanted(Abort),
    TooLarge(TooLarge),
}

impl From<Abort> for Failed {
    fn from(abort: Abort) -> Self {
        Self::Unwanted(abort)
    }
}

impl From<TooLarge> for Failed {
    fn from(error: TooLarge) -> Self {
        Self::TooLarge(error)
    }
}

async fn send(
    rest: &mut Rest,
    sender: &mut Upload,
    metrics: &RequestMetrics,
) -> Result<Ending<hyper::Error>, Failed> {
    let Rest { body, limit, chunk, ending } = rest;
    send_chunk(mem::take(chunk), sender, metrics).await?;
    if let Some(ending) = ending.take() {
        return Ok(ending);
    }
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            abort = sender.stopped() => return Err(abort.into()),
        };
        match frame {
            None => return Ok(Ending::Clean),
            Some(Err(error)) => return Ok(Ending::Broken(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    limit.take(data.len())?;
                    send_chunk(data, sender, metrics).await?;
                }
                Err(other) => {
                    if let Ok(trailers) = other.into_trailers() {
                        return Ok(Ending::Trailers(Fields::from(&trailers)));
                    }
                }
            },
        }
    }
}

async fn send_chunk(chunk: Bytes, sender: &mut Upload, metrics: &RequestMetrics) -> Result<(), Abort> {
    metrics.received(chunk.len());
    if chunk.is_empty() {
        return Ok(());
    }
    sender.send(chunk).await
}
