//! The request on its way to the local service.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http1::{BodyLength, BodyWriter, Output, WrongLength};
use link::Abort;
use proto::Fields;

use super::{
    Receiver,
    request::{BeforeMore, Request},
};
use crate::upstream::Connection;

/// As much is taken from the link before the service has taken what came earlier. The rest waits there, where credit
/// bounds it.
const AHEAD: usize = 64 * 1024;

/// What of a request was not written yet.
///
/// ```text
///  Expecting --on_continue--.
///  Switching --on_switch----+--> Open --the client's end--> Ended
///      |                            \--stop---------------> Stopped
///      '--on_answer--> Ended (Switching: nothing is owed), Stopped (Expecting)
/// ```
#[derive(Debug)]
pub(super) struct Upload {
    output: Output,
    body: BodyWriter,
    source: Source,
    begun: bool,
}

/// Where the body comes from.
#[derive(Debug)]
enum Source {
    /// The client, which waits for the service to ask for it.
    Expecting(Receiver),
    /// The client, once both sides speak another protocol. The request itself has no body.
    Switching(Receiver),
    /// The client.
    Open(Receiver),
    /// Nowhere: all of it was taken.
    Ended,
    /// Nowhere: the service will not have the rest.
    Stopped,
}

/// Why a request cannot be written to its end.
#[derive(Debug)]
pub(super) enum Broken {
    /// The exchange was aborted.
    Exchange(Abort),
    /// The client sent less or more than it declared.
    Length(WrongLength),
    /// The service takes no more.
    Write(io::Error),
}

impl Upload {
    pub(super) fn new(request: &Request, receiver: Receiver) -> Self {
        let source = match request.before_more {
            BeforeMore::Continue => Source::Expecting(receiver),
            BeforeMore::Switch(_) => Source::Switching(receiver),
            BeforeMore::Nothing => Source::Open(receiver),
        };
        Self::from(request, source)
    }

    /// Of bytes that need no head.
    pub(super) fn raw(receiver: Receiver) -> Self {
        let body = BodyWriter::new(BodyLength::UntilClose);
        Self { output: Output::default(), body, source: Source::Open(receiver), begun: false }
    }

    /// Of a request that is all there.
    pub(super) fn whole(request: &Request) -> Self {
        Self::from(request, Source::Ended)
    }

    fn from(request: &Request, source: Source) -> Self {
        let mut output = Output::default();
        output.write(|out| request.write_head(out));
        output.push(request.inline.clone());
        let body = BodyWriter::new(request.length);
        Self { output, body, source, begun: false }
    }

    /// Writes as much as the service takes. Ready once all of the request was written.
    pub(super) fn poll(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            self.take(cx)?;
            if self.output.is_empty() {
                ready!(connection.poll_flush(cx)).map_err(Broken::Write)?;
                return if self.is_written() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            ready!(connection.poll_write(&mut self.output, cx)).map_err(Broken::Write)?;
            self.begun = true;
        }
    }

    /// Takes what the client has sent, to be written at once.
    fn take(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        while self.output.len() < AHEAD {
            let Source::Open(receiver) = &mut self.source else { break };
            match receiver.poll_chunk(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(chunk))) => self.push(chunk)?,
                Poll::Ready(Some(Err(abort))) => return Err(Broken::Exchange(abort)),
                Poll::Ready(None) => {
                    let trailers = receiver.take_trailers();
                    self.end(trailers.as_ref())?;
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, chunk: Bytes) -> Result<(), Broken> {
        let mut behind = Ok(&b""[..]);
        self.output.write(|out| behind = self.body.data(out, chunk.len()));
        let behind = behind.map_err(Broken::Length)?;
        self.output.push(chunk);
        self.output.write(|out| out.extend_from_slice(behind));
        Ok(())
    }

    fn end(&mut self, trailers: Option<&Fields>) -> Result<(), Broken> {
        self.source = Source::Ended;
        let mut ended = Ok(());
        self.output.write(|out| ended = self.body.clone().end(out, trailers));
        ended.map_err(Broken::Length)
    }

    /// Whether all of the request was written: the connection may carry another one.
    pub(super) fn is_written(&self) -> bool {
        self.output.is_empty() && matches!(self.source, Source::Ended | Source::Switching(_))
    }

    /// Whether not a byte was written: it may go to another connection as it is.
    pub(super) fn is_untouched(&self) -> bool {
        !self.begun
    }

    /// Whether the client waits to be asked for the body.
    pub(super) fn is_expecting(&self) -> bool {
        matches!(self.source, Source::Expecting(_))
    }

    /// The service asks for the body.
    pub(super) fn on_continue(&mut self) {
        self.source = match std::mem::replace(&mut self.source, Source::Stopped) {
            Source::Expecting(receiver) => Source::Open(receiver),
            other => other,
        };
    }

    /// The service speaks the other protocol from here on.
    pub(super) fn on_switch(&mut self) {
        self.body = BodyWriter::new(BodyLength::UntilClose);
        self.source = match std::mem::replace(&mut self.source, Source::Stopped) {
            Source::Switching(receiver) => Source::Open(receiver),
            other => other,
        };
    }

    /// The service gave its final answer: what it had to ask for is not sent.
    pub(super) fn on_answer(&mut self) {
        self.source = match std::mem::replace(&mut self.source, Source::Stopped) {
            Source::Switching(_) => Source::Ended,
            Source::Expecting(_) => Source::Stopped,
            other => other,
        };
    }

    /// The service takes no more. The client is told to stop.
    pub(super) fn stop(&mut self) {
        self.source = Source::Stopped;
        self.output = Output::default();
    }
}
