use std::task::{Context, Poll, ready};

use bytes::Bytes;
use link::Abort;
use proto::{Fields, tunnel_close::Reason};
use session::Exchange;

use crate::metrics::{Observation, Outcome};

/// The body of an agent's response on its way to the client. Dropped early it cancels the exchange.
#[derive(Debug)]
pub(crate) struct Download {
    exchange: Exchange,
    expected: Expected,
    observation: Option<Observation>,
}

/// How long a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A HEAD request, 204 or 304: whatever comes is thrown away.
    Nothing,
    /// This many bytes more.
    Exactly(u64),
    /// Until it ends.
    Anything,
}

/// The next piece of a body.
#[derive(Debug)]
pub(crate) enum Part {
    /// Bytes.
    Data(Bytes),
    /// The clean end.
    End(Option<Fields>),
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

impl Download {
    pub(crate) fn new(exchange: Exchange, expected: Expected, observation: Observation) -> Self {
        let mut download = Self { exchange, expected, observation: Some(observation) };
        // Nobody asks a body that has nothing to give: it would look like a client that left.
        if download.is_over() {
            download.end(Outcome::Ok);
        }
        download
    }

    /// How long the body may be from here on.
    pub(crate) fn expected(&self) -> Expected {
        self.expected
    }

    /// Whether there is nothing more to ask for.
    pub(crate) fn is_over(&self) -> bool {
        match self.expected {
            // A head that is all there is must say so: a gRPC client takes an empty body behind it for a broken stream.
            Expected::Anything => self.exchange.is_over(),
            Expected::Nothing => true,
            // Trailers are worth another question.
            Expected::Exactly(left) => left == 0 && self.exchange.is_read(),
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`Truncated`], once.
    pub(crate) fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Truncated>> {
        let chunk = ready!(self.exchange.poll_chunk(cx)).transpose();
        let part = match chunk.map_err(Truncated::from).and_then(|chunk| self.expected.check(chunk)) {
            Ok(Some(chunk)) => {
                if let Some(observation) = &mut self.observation {
                    observation.sent(chunk.len());
                }
                if self.expected == Expected::Exactly(0) {
                    self.end(Outcome::Ok); // nobody need ask for more
                }
                Ok(Part::Data(chunk))
            }
            Ok(None) => {
                self.end(Outcome::Ok);
                Ok(Part::End(self.exchange.take_trailers()))
            }
            Err(truncated) => {
                self.exchange.abort(Reason::Cancelled, "the response is not what it declared");
                if let Some(observation) = &mut self.observation {
                    observation.ended(match truncated {
                        // By the request's own body, when its source left.
                        Truncated::Aborted(Abort::Local(Reason::Cancelled)) => Outcome::ClientCancelled,
                        _ => Outcome::Truncated,
                    });
                }
                Err(truncated)
            }
        };
        Poll::Ready(part)
    }

    /// Gives the observation back, for an answer in place of this one.
    pub(crate) fn take_observation(&mut self) -> Option<Observation> {
        self.observation.take()
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(mut observation) = self.observation.take() {
            observation.ended(outcome);
            tracing::debug!(outcome = outcome.label(), duration = ?observation.elapsed(), "request ended");
        }
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
}
