use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http1::{BodyReader, Expectation, Limits, Read, RequestHead};
use proto::{Fields, headers, limits, tunnel_close::Reason};
use tracing::debug;

use super::{
    super::{head::may_switch, request::Begun},
    connection::Connection,
};
use crate::{
    edge::{BodyLimit, TooLarge},
    error::IngressError,
    metrics::RequestMetrics,
};

/// The request's body on its way to the agent.
///
/// ```text
///  Waiting --100 arrives---> Streaming --last byte queued--> Done
///     |    --101 arrives---> Raw ------- client's FIN -----> Done
///     \--final head--------> Done (an upgrade was refused), Streaming or Abandoned (a body was announced)
///  Streaming, Raw --the agent wants no more, or the exchange is over--> Abandoned
/// ```
pub(super) struct Upload {
    state: State,
    kind: Kind,
    body: BodyReader,
    limit: BodyLimit,
    /// Kept to the end: dropped too early it would cancel the exchange.
    sender: Option<session::Upload>,
    /// Read, and not yet taken by the link.
    pending: Bytes,
    /// Whether anything was read behind what went with the head.
    taken: bool,
    trailers: Option<Fields>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Streaming,
    Raw,
    Done,
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Expected,
    Upgrade,
}

/// Why an upload did not reach its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The client is gone, or its connection is.
    ClientLeft,
    /// The body is not framed as HTTP says.
    Framing,
    /// The body goes over its limit.
    TooLarge,
}

impl Upload {
    pub(super) fn new(head: &RequestHead) -> Self {
        let kind = match (head.expectation, &head.upgrade) {
            (Expectation::Continue, _) if !head.body.is_empty() => Kind::Expected,
            (_, Some(protocols)) if head.body.is_empty() && may_switch(protocols) => Kind::Upgrade,
            _ => Kind::Plain,
        };
        let body = BodyReader::new(head.body, &Limits::default());
        Self {
            state: State::Waiting,
            kind,
            body,
            limit: BodyLimit::NONE,
            sender: None,
            pending: Bytes::new(),
            taken: false,
            trailers: None,
        }
    }

    /// Takes no body that goes over `limit`.
    pub(super) fn limit(&mut self, limit: BodyLimit) {
        self.limit = limit;
    }

    /// Whether the client asks for another protocol.
    pub(super) fn is_upgrade(&self) -> bool {
        self.kind == Kind::Upgrade
    }

    /// Whether the client waits for 100.
    pub(super) fn is_expected(&self) -> bool {
        self.kind == Kind::Expected
    }

    /// The agent knows nothing of what the client asks for: this is a request like others.
    pub(super) fn become_plain(&mut self) {
        self.kind = Kind::Plain;
    }

    /// Whether all of the request was read.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the client's bytes are this body's. Otherwise they are its next request's.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.state, State::Streaming | State::Raw)
    }

    /// Takes what of the body is there, up to `limit` bytes.
    ///
    /// # Errors
    /// [`IngressError::BadFraming`], [`IngressError::BodyTooLarge`].
    pub(super) fn begin(&mut self, input: &mut BytesMut, limit: usize) -> Result<Begun, IngressError> {
        if self.kind != Kind::Plain {
            return Ok(Begun::default());
        }
        self.state = State::Streaming;
        let mut inline = Inline::default();
        while inline.len() < limit {
            match self.body.read(input, limit - inline.len()).map_err(|_| IngressError::BadFraming)? {
                Read::NeedInput => break,
                Read::Data(data) => {
                    self.limit.take(data.len())?;
                    inline.push(data);
                }
                Read::End(trailers) => {
                    self.state = if trailers.is_some() { State::Streaming } else { State::Done };
                    self.trailers = trailers;
                    break;
                }
            }
        }
        Ok(Begun { inline: inline.freeze(), end: self.state == State::Done })
    }

    /// Goes on with the sender of the exchange; there is none if all was inline.
    pub(super) fn attach(&mut self, sender: Option<session::Upload>) {
        self.sender = sender;
        if self.body.is_end() && self.kind == Kind::Plain {
            let trailers = self.trailers.take();
            self.taken |= trailers.is_some();
            self.finish(trailers);
        }
    }

    /// Whether the request could begin anew: all that was read of its body went with its head.
    pub(super) fn is_whole(&self) -> bool {
        !self.taken
    }

    /// Goes on with the sender of another exchange, to which the same beginning was sent.
    pub(super) fn attach_again(&mut self, sender: Option<session::Upload>) {
        self.sender = sender;
        // The end of the other exchange was taken for a wish to be spared the body.
        if self.state == State::Abandoned {
            self.state = State::Streaming;
        }
    }

    /// The service asks for the body. Returns whether the client waits for that.
    pub(super) fn on_continue(&mut self) -> bool {
        let waits = self.state == State::Waiting && self.is_expected();
        if waits {
            self.state = State::Streaming;
        }
        waits
    }

    /// The service switches protocols.
    pub(super) fn on_switch(&mut self) {
        self.state = State::Raw;
    }

    /// The service answers. Returns whether the client still knows where its next request begins.
    pub(super) fn on_final_head(&mut self, status: StatusCode) -> bool {
        let waited = self.state == State::Waiting;
        if waited && self.is_upgrade() {
            self.finish(None);
        } else if waited {
            // A service that answers well before it asks reads on; one that refuses wants no body (RFC 9110, 10.1.1).
            let refused = status.is_client_error() || status.is_server_error();
            self.state = if refused { State::Abandoned } else { State::Streaming };
        }
        !(waited && self.is_expected()) && self.state != State::Abandoned
    }

    /// Moves what can be moved, and has the task of `cx` woken when there is more.
    ///
    /// # Errors
    /// [`Failure`], once. The exchange is aborted then.
    pub(super) fn drive(
        &mut self,
        connection: &mut Connection,
        metrics: &RequestMetrics,
        cx: &mut Context<'_>,
    ) -> Result<(), Failure> {
        while self.is_reading() {
            if !self.pending.is_empty() && self.send(connection, cx)?.is_pending() {
                return Ok(());
            }
            if self.is_reading() && self.read(connection, metrics, cx)?.is_pending() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Hands what is pending to the link.
    fn send(&mut self, connection: &mut Connection, cx: &mut Context<'_>) -> Result<Poll<()>, Failure> {
        let Some(sender) = &mut self.sender else { return Ok(Poll::Ready(())) };
        match sender.poll_send(&mut self.pending, cx) {
            Poll::Ready(Ok(())) => {
                connection.stop_looking();
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Err(abort)) => {
                debug!(%abort, "the rest of the request is not needed");
                self.abandon();
                Ok(Poll::Ready(()))
            }
            // Nothing is read meanwhile, so nothing would tell that the client has left.
            // Behind a switch the end of one direction is no leaving.
            Poll::Pending if self.state != State::Raw && connection.poll_left_unread(cx).is_ready() => {
                Err(self.fail(Failure::ClientLeft))
            }
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Takes the next piece from the client.
    fn read(
        &mut self,
        connection: &mut Connection,
        metrics: &RequestMetrics,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Failure> {
        match self.take(connection.input()) {
            Ok(Some(data)) => {
                self.taken = true;
                metrics.received(data.len());
                self.pending = data;
                return Ok(Poll::Ready(()));
            }
            Ok(None) if !self.is_reading() => {
                self.taken = true;
                return Ok(Poll::Ready(()));
            }
            Ok(None) => {}
            Err(failure) => return Err(self.fail(failure)),
        }
        if let Some(sender) = &mut self.sender
            && sender.poll_stopped(cx).is_ready()
        {
            self.abandon();
            return Ok(Poll::Ready(()));
        }
        match connection.poll_body(cx) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(0)) if self.state == State::Raw => {
                self.finish(None);
                Ok(Poll::Ready(()))
            }
            Poll::Ready(Ok(0) | Err(_)) => Err(self.fail(Failure::ClientLeft)),
            Poll::Ready(Ok(_)) => Ok(Poll::Ready(())),
        }
    }

    /// The next piece of what was read. `None` at the end, or if there is none yet.
    fn take(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, Failure> {
        if self.state == State::Raw {
            let length = input.len().min(limits::MAX_CHUNK);
            return Ok((length > 0).then(|| input.split_to(length).freeze()));
        }
        match self.body.read(input, limits::MAX_CHUNK).map_err(|_| Failure::Framing)? {
            Read::NeedInput => Ok(None),
            Read::Data(data) => {
                self.limit.take(data.len()).map_err(|TooLarge| Failure::TooLarge)?;
                Ok(Some(data))
            }
            Read::End(trailers) => {
                self.finish(trailers);
                Ok(None)
            }
        }
    }

    fn finish(&mut self, trailers: Option<Fields>) {
        self.state = State::Done;
        if let Some(sender) = self.sender.take() {
            // Too large a trailer section is left out rather than the body spoilt.
            sender.finish(headers::trailers_to_wire(trailers.unwrap_or_default()).unwrap_or_default());
        }
    }

    fn abandon(&mut self) {
        self.state = State::Abandoned;
        self.pending = Bytes::new();
    }

    fn fail(&mut self, failure: Failure) -> Failure {
        self.abandon();
        if let Some(sender) = self.sender.take() {
            match failure {
                Failure::TooLarge => sender.abort(Reason::TooLarge, "the request body is over the limit"),
                _ => sender.abort(Reason::Cancelled, "the client broke off its request"),
            }
        }
        failure
    }
}

/// What arrived of a body with its head. A single piece is not copied.
#[derive(Default)]
struct Inline {
    first: Bytes,
    all: BytesMut,
}

impl Inline {
    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn push(&mut self, data: Bytes) {
        if self.first.is_empty() {
            self.first = data;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&data);
    }

    fn freeze(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
