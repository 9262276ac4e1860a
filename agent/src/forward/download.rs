//! The body of a response on its way to the gateway.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http1::{BodyError, BodyLength, BodyReader, Read};
use proto::{Fields, limits};

use super::{Failure, Sender, exchange::LIMITS};
use crate::upstream::{Connection, UpstreamError};

/// What of a body was not sent yet.
#[derive(Debug)]
pub(super) struct Download {
    body: BodyReader,
    /// Bytes that the service still owes, if it said how many there are.
    missing: Option<u64>,
    /// What credit did not suffice for.
    pending: Bytes,
    /// The end, once it was read.
    pub(super) end: Option<End>,
    /// Bytes that were read.
    pub(super) bytes: u64,
}

/// The clean end of a body, with its trailers.
#[derive(Debug)]
pub(super) struct End(pub(super) Option<Fields>);

/// What a look at the socket gave.
enum Filled {
    /// As much as a frame takes, or all that there is.
    Enough,
    /// No more for now.
    Waiting,
    /// No more ever.
    Closed,
}

impl Download {
    pub(super) fn new(length: BodyLength) -> Self {
        let missing = match length {
            BodyLength::Empty => Some(0),
            BodyLength::Exactly(length) => Some(length),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        };
        let body = BodyReader::new(length, &LIMITS);
        let end = body.is_end().then_some(End(None));
        Self { body, missing, pending: Bytes::new(), end, bytes: 0 }
    }

    /// What is there without waiting, at most `max` bytes.
    pub(super) fn beginning(
        &mut self,
        connection: &mut Connection,
        max: usize,
        cx: &mut Context<'_>,
    ) -> Result<Bytes, UpstreamError> {
        let filled = self.fill(connection, cx);
        let beginning = self.take(&mut connection.input, max).map_err(UpstreamError::Body)?;
        if beginning.is_empty() && self.end.is_none() {
            // What is there does not end cleanly: better known before the head has left.
            filled?;
        }
        Ok(beginning)
    }

    /// Sends what comes, as fast as the gateway takes it. Ready at the clean end of the body, with its trailers.
    pub(super) fn poll(
        &mut self,
        connection: &mut Connection,
        sender: &mut Sender,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Fields>, Failure>> {
        loop {
            if !self.pending.is_empty() {
                ready!(sender.poll_send(&mut self.pending, cx)).map_err(Failure::Exchange)?;
            }
            if let Some(End(trailers)) = self.end.take() {
                return Poll::Ready(Ok(trailers));
            }
            let filled = self.fill(connection, cx);
            self.pending =
                self.take(&mut connection.input, limits::MAX_CHUNK).map_err(UpstreamError::Body)?;
            if !self.pending.is_empty() || self.end.is_some() {
                continue;
            }
            match filled? {
                Filled::Enough => {}
                Filled::Closed => {
                    self.body.eof().map_err(UpstreamError::Body)?;
                    self.end = Some(End(None));
                }
                Filled::Waiting => {
                    // A service may be silent for hours; its client may leave meanwhile.
                    let abort = ready!(sender.poll_stopped(cx));
                    return Poll::Ready(Err(Failure::Exchange(abort)));
                }
            }
        }
    }

    /// Reads until there is a whole frame or nothing more to be had without waiting: pieces that are there together
    /// travel together.
    fn fill(&self, connection: &mut Connection, cx: &mut Context<'_>) -> Result<Filled, UpstreamError> {
        while !self.is_all_here(&connection.input) {
            match connection.poll_fill(cx) {
                Poll::Pending => return Ok(Filled::Waiting),
                Poll::Ready(Ok(0)) => return Ok(Filled::Closed),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Err(UpstreamError::Reset(error)),
            }
        }
        Ok(Filled::Enough)
    }

    fn is_all_here(&self, input: &[u8]) -> bool {
        let here = input.len();
        self.end.is_some()
            || here >= limits::MAX_CHUNK
            || self.missing.is_some_and(|missing| here as u64 >= missing)
    }

    /// Takes what was read, at most `max` bytes. A single piece is not copied; the chunks of a chunked body are, into one.
    fn take(&mut self, input: &mut BytesMut, max: usize) -> Result<Bytes, BodyError> {
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        while self.end.is_none() && first.len().max(joined.len()) < max {
            match self.body.read(input, max - first.len().max(joined.len()))? {
                Read::NeedInput => break,
                Read::End(trailers) => self.end = Some(End(trailers)),
                Read::Data(data) if first.is_empty() => first = data,
                Read::Data(data) => {
                    if joined.is_empty() {
                        joined.reserve(first.len() + data.len() + input.len().min(max));
                        joined.extend_from_slice(&first);
                    }
                    joined.extend_from_slice(&data);
                }
            }
            if self.body.is_end() && self.end.is_none() {
                self.end = Some(End(None));
            }
        }
        let taken = if joined.is_empty() { first } else { joined.freeze() };
        self.bytes += taken.len() as u64;
        self.missing = self.missing.map(|missing| missing - taken.len() as u64);
        Ok(taken)
    }
}
