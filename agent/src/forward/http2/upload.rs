//! The request on its way to the local service.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http1::{BodyLength, WrongLength};
use proto::Fields;

use super::super::{
    Failure, Receiver,
    request::{BeforeMore, Request},
};

/// What of a request was not written yet.
#[derive(Debug)]
pub(super) struct Upload {
    /// Once the stream has begun.
    stream: Option<SendStream<Bytes>>,
    source: Source,
    /// Bytes that the service has no room for yet.
    pending: Bytes,
    /// Bytes that the client still owes, if it said how many there are.
    missing: Option<u64>,
    touched: bool,
}

/// Where the body comes from.
#[derive(Debug)]
enum Source {
    /// The client, which waits for the service to ask for it.
    Expecting(Receiver),
    /// The client.
    Open(Receiver),
    /// What came with the head was all.
    Whole,
    /// Nowhere: the service has all of it, or will not have the rest.
    Ended,
}

impl Upload {
    pub(super) fn new(request: &Request, receiver: Receiver) -> Self {
        let source = match request.before_more {
            _ if request.whole => Source::Whole,
            BeforeMore::Continue => Source::Expecting(receiver),
            _ => Source::Open(receiver),
        };
        let missing = match request.length {
            BodyLength::Exactly(length) => Some(length),
            _ => None,
        };
        Self { stream: None, source, pending: Bytes::new(), missing, touched: false }
    }

    /// The stream has begun, for the first time or once more.
    pub(super) fn begin(&mut self, stream: SendStream<Bytes>, request: &Request) {
        if request.whole {
            self.source = if request.is_bodiless() { Source::Ended } else { Source::Whole };
            self.pending = request.inline.clone();
        }
        self.stream = Some(stream);
    }

    /// Whether nothing was taken from the client: it may go to another connection as it is.
    pub(super) fn is_untouched(&self) -> bool {
        !self.touched
    }

    /// Whether the client waits to be asked for the body.
    pub(super) fn is_expecting(&self) -> bool {
        matches!(self.source, Source::Expecting(_))
    }

    /// The service asks for the body.
    pub(super) fn on_continue(&mut self) {
        self.source = match std::mem::replace(&mut self.source, Source::Ended) {
            Source::Expecting(receiver) => Source::Open(receiver),
            other => other,
        };
    }

    /// The service gave its final answer: what it had to ask for is not sent.
    pub(super) fn on_answer(&mut self) {
        if self.is_expecting() {
            self.stop();
        }
    }

    /// Sends as much as the service has room for.
    ///
    /// # Errors
    /// [`Failure`] if the request ended otherwise than its head told.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        loop {
            let Some(stream) = &mut self.stream else { return Ok(()) };
            if !self.pending.is_empty() {
                stream.reserve_capacity(self.pending.len());
                let room = match stream.poll_capacity(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Some(Ok(room))) => room.min(self.pending.len()),
                    Poll::Ready(None | Some(Err(_))) => return self.refused(),
                };
                let chunk = self.pending.split_to(room);
                let last = self.pending.is_empty() && matches!(self.source, Source::Whole);
                if last {
                    self.source = Source::Ended;
                }
                if stream.send_data(chunk, last).is_err() {
                    return self.refused();
                }
                continue;
            }
            let Source::Open(receiver) = &mut self.source else { return Ok(()) };
            match receiver.poll_chunk(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Some(Ok(chunk))) => self.push(chunk)?,
                Poll::Ready(Some(Err(abort))) => {
                    stream.send_reset(Reason::CANCEL);
                    return Err(Failure::Exchange(abort));
                }
                Poll::Ready(None) => {
                    let trailers = receiver.take_trailers();
                    self.end(trailers.as_ref())?;
                }
            }
        }
    }

    fn push(&mut self, chunk: Bytes) -> Result<(), Failure> {
        self.touched = true;
        if let Some(missing) = &mut self.missing {
            let rest = missing.checked_sub(chunk.len() as u64);
            *missing = rest.ok_or(Failure::Length(WrongLength::TooLong))?;
        }
        self.pending = chunk;
        Ok(())
    }

    fn end(&mut self, trailers: Option<&Fields>) -> Result<(), Failure> {
        self.touched = true;
        self.source = Source::Ended;
        if self.missing.is_some_and(|missing| missing > 0) {
            return Err(Failure::Length(WrongLength::TooShort));
        }
        let Some(stream) = &mut self.stream else { return Ok(()) };
        // A service that will not have it has reset the stream, and is heard where its answer is.
        let _ = match trailers {
            Some(trailers) => stream.send_trailers(trailers.to_map()),
            None => stream.send_data(Bytes::new(), true),
        };
        Ok(())
    }

    /// The service has reset the stream. What it had to say comes where its answer does.
    fn refused(&mut self) -> Result<(), Failure> {
        self.stop();
        Ok(())
    }

    fn stop(&mut self) {
        self.source = Source::Ended;
        self.pending = Bytes::new();
    }
}
