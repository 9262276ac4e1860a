//! One request and its response on one connection, driven by the task of their exchange.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use http1::{Asked, Limits, ResponseHead, ResponseParser};
use proto::limits;
use tracing::debug;

use super::{
    Failure, Receiver, Sender,
    interim::Patience,
    request::Request,
    upload::{Broken, Upload},
};
use crate::upstream::{Connection, Pool, UpstreamError};

/// Room for the largest head that is passed on: its fields count, and what stands around them comes on top.
pub(super) const LIMITS: Limits = Limits {
    head_bytes: limits::MAX_HEAD_BYTES + 8 * 1024,
    fields: limits::MAX_HEADERS,
    target_bytes: 0,
    trailer_bytes: 16 * 1024,
    chunk_extension_bytes: 16 * 1024,
};

/// A request that is being written on a connection, and its response being read.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) connection: Connection,
    pub(super) upload: Upload,
    parser: ResponseParser,
    asked: Asked,
    patience: Patience,
}

/// What the service says before its body.
#[derive(Debug)]
pub(super) enum Answer {
    Head(ResponseHead),
    /// Nothing for so long that the client should go on unasked.
    Silence,
}

impl Exchange {
    /// Nothing is written yet.
    pub(super) fn new(connection: Connection, request: &Request, receiver: Receiver) -> Self {
        let upload = if request.whole { Upload::whole(request) } else { Upload::new(request, receiver) };
        let patience = Patience::new(upload.is_expecting());
        Self { connection, upload, parser: ResponseParser::new(LIMITS), asked: request.asked(), patience }
    }

    /// Bytes in both directions, from the first one on.
    pub(super) fn raw(connection: Connection, receiver: Receiver) -> Self {
        let asked = Asked { head: false, upgrade: true };
        let upload = Upload::raw(receiver);
        Self { connection, upload, parser: ResponseParser::new(LIMITS), asked, patience: Patience::default() }
    }

    /// Writes the request, and waits for the first that the service says.
    ///
    /// The service may close an idle connection at the very moment it is chosen. A request that was not written then goes
    /// out again on a fresh one; one that was written does so only if it [is repeatable](Request::is_repeatable).
    pub(super) async fn begin(
        &mut self,
        request: &Request,
        pool: &Pool,
        sender: &mut Sender,
    ) -> Result<Answer, Failure> {
        let answer = self.answer(sender).await;
        if !self.is_stale(&answer, request) {
            return answer;
        }
        if !self.upload.is_untouched() {
            self.upload = Upload::whole(request);
        }
        self.connection = dial(pool, sender).await?;
        self.answer(sender).await
    }

    /// Whether the service closed an idle connection, and the request may go out once more.
    fn is_stale(&self, answer: &Result<Answer, Failure>, request: &Request) -> bool {
        let reset = matches!(answer, Err(Failure::Upstream(UpstreamError::Reset(_))));
        reset && self.connection.is_stale() && (self.upload.is_untouched() || request.is_repeatable())
    }

    /// Waits for what the service says next, while the request goes on being written.
    pub(super) async fn answer(&mut self, sender: &mut Sender) -> Result<Answer, Failure> {
        poll_fn(|cx| self.poll_answer(sender, cx)).await
    }

    fn poll_answer(&mut self, sender: &mut Sender, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        self.poll_upload(cx)?;
        loop {
            let parsed = self.parser.parse(&mut self.connection.input, self.asked);
            if let Some(head) = parsed.map_err(UpstreamError::Head)? {
                return Poll::Ready(Ok(Answer::Head(head)));
            }
            match self.connection.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(UpstreamError::closed().into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(UpstreamError::Reset(error).into())),
                Poll::Pending => break,
            }
        }
        // Asked last, for it costs the link's lock: a response that is there needs no more of it.
        if let Poll::Ready(abort) = sender.poll_stopped(cx) {
            return Poll::Ready(Err(Failure::Exchange(abort)));
        }
        self.patience.poll(cx).map(|()| Ok(Answer::Silence))
    }

    /// Lets the request go on, and says whether there is nothing more to write. A service that takes no more of it may still
    /// answer, and often does.
    ///
    /// # Errors
    /// [`Failure`] if it ended otherwise than its head told, or if nothing at all could be written.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        match self.upload.poll(&mut self.connection, cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(Broken::Exchange(abort))) => Err(Failure::Exchange(abort)),
            Poll::Ready(Err(Broken::Length(wrong))) => Err(Failure::Length(wrong)),
            Poll::Ready(Err(Broken::Write(error))) if self.upload.is_untouched() => {
                Err(UpstreamError::Reset(error).into())
            }
            Poll::Ready(Err(Broken::Write(error))) => {
                debug!(%error, "the local service takes no more of the request");
                self.upload.stop();
                Ok(true)
            }
        }
    }

    /// The service asks for the body.
    pub(super) fn on_continue(&mut self) {
        self.patience = Patience::default();
        self.upload.on_continue();
    }
}

/// An idle connection or a fresh one, unless the client leaves meanwhile.
pub(super) async fn connect(pool: &Pool, sender: &mut Sender) -> Result<Connection, Failure> {
    match pool.take() {
        Some(connection) => Ok(connection),
        None => dial(pool, sender).await,
    }
}

async fn dial(pool: &Pool, sender: &mut Sender) -> Result<Connection, Failure> {
    // Boxed, for it is rare and large.
    tokio::select! {
        connection = Box::pin(pool.dial()) => Ok(connection?),
        abort = sender.stopped() => Err(Failure::Exchange(abort)),
    }
}
