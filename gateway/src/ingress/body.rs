use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use link::Abort;
use proto::tunnel_close::Reason;
use session::Exchange;

use crate::metrics::{Observation, Outcome};

/// What a client gets behind a head: the agent's bytes, or the gateway's own. Dropped early it cancels the exchange.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    observation: Option<Observation>,
}

#[derive(Debug)]
enum Source {
    Own(Bytes),
    Relayed { exchange: Exchange, expected: Expected },
}

/// How long a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A HEAD request, 204 or 304: whatever comes is thrown away.
    Nothing,
    /// This many bytes more.
    Exactly(u64),
    /// Until it ends.
    Anything,
}

/// Why a body broke off. The client sees its connection closed, never a clean end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Truncated {
    /// The exchange was aborted.
    #[error(transparent)]
    Aborted(#[from] Abort),
    /// The body ended before its declared length.
    #[error("the response is {missing} bytes shorter than it declared")]
    Short {
        /// Bytes that did not come.
        missing: u64,
    },
    /// The body went on past its declared length.
    #[error("the response is longer than it declared")]
    Long,
}

impl ResponseBody {
    /// The gateway's own words.
    pub(super) fn own(body: Bytes, observation: Observation) -> Self {
        Self { source: Source::Own(body), observation: Some(observation) }
    }

    /// An agent's bytes.
    pub(super) fn relayed(exchange: Exchange, expected: Expected, observation: Observation) -> Self {
        let mut body =
            Self { source: Source::Relayed { exchange, expected }, observation: Some(observation) };
        // hyper never polls a body that has nothing to give: it would look like a client that left.
        if body.is_end_stream() {
            body.end(Outcome::Ok);
        }
        body
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(mut observation) = self.observation.take() {
            observation.ended(outcome);
            tracing::debug!(outcome = outcome.label(), duration = ?observation.elapsed(), "request ended");
        }
    }

    fn poll_relayed(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let Source::Relayed { exchange, expected } = &mut self.source else { return Poll::Ready(None) };
        let chunk = ready!(exchange.poll_chunk(cx)).transpose();
        let frame = match chunk.map_err(Truncated::from).and_then(|chunk| expected.check(chunk)) {
            Ok(Some(chunk)) => {
                if let Some(observation) = &mut self.observation {
                    observation.sent(chunk.len());
                }
                if expected.is_complete() {
                    self.end(Outcome::Ok);
                }
                Some(Ok(Frame::data(chunk)))
            }
            Ok(None) => {
                let trailers = exchange.take_trailers();
                self.end(Outcome::Ok);
                trailers.map(|trailers| Ok(Frame::trailers(trailers)))
            }
            Err(truncated) => {
                exchange.abort(Reason::Cancelled, "the response is not what it declared");
                self.end(match truncated {
                    // By the request's own body, when its source left.
                    Truncated::Aborted(Abort::Local(Reason::Cancelled)) => Outcome::ClientCancelled,
                    _ => Outcome::Truncated,
                });
                Some(Err(truncated))
            }
        };
        Poll::Ready(frame)
    }
}

impl Expected {
    fn check(&mut self, chunk: Option<Bytes>) -> Result<Option<Bytes>, Truncated> {
        match (self, chunk) {
            (Self::Exactly(0), None) | (Self::Anything | Self::Nothing, None) => Ok(None),
            (Self::Exactly(missing), None) => Err(Truncated::Short { missing: *missing }),
            (Self::Exactly(left), Some(chunk)) => {
                *left = left.checked_sub(chunk.len() as u64).ok_or(Truncated::Long)?;
                Ok(Some(chunk))
            }
            (Self::Anything, Some(chunk)) => Ok(Some(chunk)),
            (Self::Nothing, Some(_)) => Ok(None),
        }
    }

    /// Whether every byte that was declared has come. hyper asks for no more then.
    fn is_complete(self) -> bool {
        matches!(self, Self::Exactly(0) | Self::Nothing)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let body = self.get_mut();
        match &mut body.source {
            Source::Own(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Source::Relayed { .. } => body.poll_relayed(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_empty(),
            Source::Relayed { exchange, expected } => match expected {
                Expected::Anything => false,
                Expected::Nothing => true,
                // Trailers are worth another question.
                Expected::Exactly(left) => *left == 0 && exchange.is_read(),
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Relayed { expected: Expected::Exactly(left), .. } => SizeHint::with_exact(*left),
            Source::Relayed { expected: Expected::Nothing, .. } => SizeHint::with_exact(0),
            Source::Relayed { .. } => SizeHint::default(),
        }
    }
}
