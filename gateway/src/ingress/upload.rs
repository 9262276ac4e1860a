//! What of a request body follows its head.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use link::{Abort, Ending};
use proto::{headers, tunnel_close::Reason};
use session::Upload;
use tracing::debug;

use super::request::Rest;
use crate::{client::Client, metrics::RequestMetrics};

/// Carries the rest of a body to the agent, as fast as the agent takes it. A body that breaks off cancels its exchange.
pub(super) async fn run(rest: Rest, mut sender: Upload, client: Client, metrics: Arc<RequestMetrics>) {
    match send(rest, &mut sender, &client, &metrics).await {
        Ok(Ending::Clean) => sender.finish(Vec::new()),
        // Too large a trailer section is left out rather than the body spoilt.
        Ok(Ending::Trailers(trailers)) => {
            sender.finish(headers::trailers_to_wire(&trailers).unwrap_or_default());
        }
        Ok(Ending::Broken(error)) => {
            debug!(%error, "the client broke off its request");
            sender.abort(Reason::Cancelled, "the client broke off its request");
        }
        Err(Stop::ClientLeft) => sender.abort(Reason::Cancelled, "the client left"),
        // The agent needs no more, or the exchange is over: what the client still sends is not read.
        Err(Stop::Exchange(abort)) => debug!(%abort, "the rest of the request is not needed"),
    }
}

/// Why a body is not carried to its end.
enum Stop {
    Exchange(Abort),
    ClientLeft,
}

async fn send(
    rest: Rest,
    sender: &mut Upload,
    client: &Client,
    metrics: &RequestMetrics,
) -> Result<Ending<hyper::Error>, Stop> {
    let Rest { mut body, chunk, ending } = rest;
    send_chunk(chunk, sender, client, metrics).await?;
    if let Some(ending) = ending {
        return Ok(ending);
    }
    loop {
        let frame = tokio::select! {
            frame = body.frame() => frame,
            abort = sender.stopped() => return Err(Stop::Exchange(abort)),
        };
        match frame {
            None => return Ok(Ending::Clean),
            Some(Err(error)) => return Ok(Ending::Broken(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => send_chunk(data, sender, client, metrics).await?,
                Err(other) => {
                    if let Ok(trailers) = other.into_trailers() {
                        return Ok(Ending::Trailers(trailers));
                    }
                }
            },
        }
    }
}

async fn send_chunk(
    chunk: Bytes,
    sender: &mut Upload,
    client: &Client,
    metrics: &RequestMetrics,
) -> Result<(), Stop> {
    metrics.received(chunk.len());
    if chunk.is_empty() {
        return Ok(());
    }
    tokio::select! {
        biased; // a chunk that can be queued at once costs no look at the client
        sent = sender.send(chunk) => sent.map_err(Stop::Exchange),
        () = client.left() => Err(Stop::ClientLeft),
    }
}
