use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use http1::{Framing, Version};
use link::Abort;
use session::{Attempt, Dispatcher, Exchange, OpenedExchange, ResponseHead};

use super::{
    super::{
        answer::{AnswerHead, Relayed, strip_own},
        download::{Download, Expected, Part, Truncated},
    },
    Broken, Ended, Request,
    connection::Connection,
    upload::{Failure, Upload},
    write,
};
use crate::error::IngressError;

/// Bytes that may wait for the client before the agent is asked for more.
const HIGH_WATER: usize = 128 * 1024;

/// One exchange between a client's connection and the link: the upload, the response and the watch over the client, all at
/// once in one task.
pub(super) struct Relay {
    stage: Stage,
    upload: Upload,
    version: Version,
    keep_alive: bool,
    /// Whether the client said that this request is its last.
    is_last: bool,
    /// What it takes to send the request once more, until there is a head.
    attempt: Option<Attempt>,
}

enum Stage {
    /// Nothing final was written.
    Head(Exchange),
    /// Behind the head.
    Body { download: Download, ends: Ends },
    /// Bytes in both directions.
    Raw(Download),
    /// The service has said its last byte, the client may go on.
    HalfClosed,
    /// All is written or waits to be.
    Over,
    /// What was written must not look whole.
    Cut(Option<Truncated>),
    /// The gateway must answer by itself.
    Refused(Option<IngressError>),
    /// The exchange ended before its head.
    Failed(Option<Abort>),
}

/// What tells the client that a body is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Head,
    Length(u64),
    Chunk,
    Close,
}

impl Ends {
    fn framing(self) -> Framing {
        match self {
            Self::Length(length) => Framing::Length(length),
            Self::Chunk => Framing::Chunked,
            Self::Head | Self::Close => Framing::None,
        }
    }
}

/// How an exchange ended.
pub(super) enum Verdict {
    /// The connection is ready for the next request.
    Reuse,
    /// The connection is of no more use.
    Close(Ended),
    /// Nothing was written: the gateway answers.
    Refuse(IngressError),
    /// The exchange ended before its head. Another one may do better, see [`Relay::again`].
    Failed(Abort),
}

impl Relay {
    pub(super) fn new(
        opened: OpenedExchange,
        attempt: Attempt,
        upload: Upload,
        version: Version,
        keep_alive: bool,
    ) -> Self {
        let stage = Stage::Head(opened.receiver);
        Self { stage, upload, version, keep_alive, is_last: !keep_alive, attempt: Some(attempt) }
    }

    /// Sends the request again, if that is safe. Says whether it was.
    ///
    /// # Cancel safety
    /// Safe, but the relay is of no more use.
    pub(super) async fn again(&mut self, dispatcher: &Dispatcher, abort: &Abort) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        match dispatcher.again(attempt, abort, self.upload.is_whole()).await {
            None => false,
            Some(opened) => {
                self.upload.attach_again(opened.sender);
                self.stage = Stage::Head(opened.receiver);
                true
            }
        }
    }

    /// Carries the exchange to its end.
    ///
    /// # Errors
    /// [`Broken`]: the connection must be dropped without another word.
    pub(super) async fn run(
        &mut self,
        connection: &mut Connection,
        request: &mut Request<'_>,
    ) -> Result<Verdict, Broken> {
        poll_fn(|cx| self.poll(connection, request, cx)).await
    }

    /// Whether the request was read to its end, so that another one can follow it.
    pub(super) fn may_reuse(&self) -> bool {
        self.keep_alive && self.upload.is_done()
    }

    fn poll(
        &mut self,
        connection: &mut Connection,
        request: &mut Request<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Verdict, Broken>> {
        loop {
            if let Err(failure) = self.upload.drive(connection, request.metrics(), cx) {
                self.on_upload_failed(failure)?;
            }
            let was_reading = self.upload.is_reading();
            let more = self.download(connection, request, cx);
            let begins_to_read = !was_reading && self.upload.is_reading();
            let flushed = connection.poll_flush(cx)?.is_ready();
            // What is cut need not wait for a client that may read no more.
            if (flushed || matches!(self.stage, Stage::Cut(_)))
                && let Some(verdict) = self.verdict(connection, cx)?
            {
                return Poll::Ready(Ok(verdict));
            }
            if !(more && flushed || begins_to_read) {
                break;
            }
        }
        let watch = !self.upload.is_reading() && !matches!(self.stage, Stage::Raw(_) | Stage::HalfClosed);
        if watch && connection.poll_left(cx).is_ready() {
            return Poll::Ready(Err(Broken::ClientLeft));
        }
        Poll::Pending
    }

    fn on_upload_failed(&mut self, failure: Failure) -> Result<(), Broken> {
        self.keep_alive = false;
        match (failure, &self.stage) {
            (Failure::Framing, Stage::Head(_)) => self.stage = Stage::Refused(Some(IngressError::BadFraming)),
            // The exchange was aborted, which its other half is about to notice.
            (Failure::TooLarge, _) => {}
            _ => return Err(Broken::ClientLeft),
        }
        Ok(())
    }

    /// What became of the exchange, once everything that was to be written is.
    fn verdict(
        &mut self,
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Result<Option<Verdict>, Broken> {
        let reuse = self.may_reuse();
        match &mut self.stage {
            Stage::Head(_) | Stage::Body { .. } | Stage::Raw(_) => Ok(None),
            Stage::HalfClosed => {
                let shut = connection.poll_shutdown(cx)?.is_ready();
                Ok((shut && !self.upload.is_reading()).then_some(Verdict::Close(Ended::Unread)))
            }
            Stage::Over if reuse => Ok(Some(Verdict::Reuse)),
            Stage::Over if self.is_last && self.upload.is_done() => Ok(Some(Verdict::Close(Ended::Read))),
            Stage::Over => Ok(Some(Verdict::Close(Ended::Unread))),
            Stage::Cut(truncated) => match truncated.take() {
                Some(truncated) => Err(truncated.into()),
                None => Ok(Some(Verdict::Close(Ended::Unread))),
            },
            Stage::Refused(error) => Ok(error.take().map(Verdict::Refuse)),
            Stage::Failed(abort) => Ok(abort.take().map(Verdict::Failed)),
        }
    }

    /// Takes what the agent has sent. Returns whether there may be more once what waits is written.
    fn download(
        &mut self,
        connection: &mut Connection,
        request: &mut Request<'_>,
        cx: &mut Context<'_>,
    ) -> bool {
        while connection.output().len() < HIGH_WATER {
            match &mut self.stage {
                Stage::Head(exchange) => match exchange.poll_head(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Ok(head)) if head.interim => self.on_interim(connection, head),
                    Poll::Ready(Ok(head)) => self.on_head(connection, request, head, cx),
                    Poll::Ready(Err(abort)) => self.stage = Stage::Failed(Some(abort)),
                },
                Stage::Body { download, .. } | Stage::Raw(download) => match download.poll_part(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(part) => self.on_part(connection, part),
                },
                _ => return false,
            }
        }
        true
    }

    fn on_interim(&mut self, connection: &mut Connection, mut head: ResponseHead) {
        let wanted = match head.status {
            http::StatusCode::CONTINUE => self.upload.on_continue(),
            _ => self.version == Version::H11,
        };
        if wanted {
            strip_own(&mut head.message.fields);
            write::interim(connection.output(), &head);
        }
    }

    fn on_head(
        &mut self,
        connection: &mut Connection,
        request: &mut Request<'_>,
        head: ResponseHead,
        cx: &mut Context<'_>,
    ) {
        let Stage::Head(exchange) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        self.attempt = None;
        if head.upgrade.is_some() && !self.upload.is_upgrade() {
            self.stage = Stage::Refused(Some(IngressError::UpstreamBadResponse));
            return;
        }
        let Relayed { head, download, protocol } = request.relayed(head, exchange);
        match protocol {
            None => self.begin_body(connection, request, head, download, cx),
            Some(protocol) => {
                self.upload.on_switch();
                let after = http1::Connection::Upgrade(&protocol);
                write::head(connection.output(), head, self.version, Framing::None, after);
                self.stage = Stage::Raw(download);
            }
        }
    }

    fn begin_body(
        &mut self,
        connection: &mut Connection,
        request: &mut Request<'_>,
        head: AnswerHead,
        mut download: Download,
        cx: &mut Context<'_>,
    ) {
        // What came with the head is looked at first: as long as nothing is written, a bad body can still become a 502.
        let first = if download.is_over() { Poll::Pending } else { download.poll_part(cx) };
        if let Poll::Ready(Err(_truncated)) = &first {
            request.keep_observing(download.take_observation());
            self.stage = Stage::Refused(Some(IngressError::UpstreamBadResponse));
            return;
        }
        let known = self.upload.on_final_head(head.status);
        let ends = self.ends(&head, &download);
        self.keep_alive = self.keep_alive && known && ends != Ends::Close && !connection.is_pausing();
        let after = write::after(self.keep_alive);
        write::head(connection.output(), head, self.version, ends.framing(), after);
        if download.is_over() && first.is_pending() {
            if ends == Ends::Chunk {
                write::last(connection.output(), None);
            }
            self.stage = Stage::Over;
            return;
        }
        self.stage = Stage::Body { download, ends };
        if let Poll::Ready(part) = first {
            self.on_part(connection, part);
        }
    }

    /// How the client learns where the body ends.
    fn ends(&self, head: &AnswerHead, download: &Download) -> Ends {
        match (head.content_length, download.expected(), self.version) {
            (Some(length), ..) => Ends::Length(length),
            (None, Expected::Nothing, _) => Ends::Head,
            (None, _, Version::H11) => Ends::Chunk,
            (None, _, Version::H10) => Ends::Close,
        }
    }

    fn on_part(&mut self, connection: &mut Connection, part: Result<Part, Truncated>) {
        let output = connection.output();
        match (part, &mut self.stage) {
            (Ok(Part::Data(data)), Stage::Body { download, ends }) => {
                write::data(output, data, *ends == Ends::Chunk);
                if download.expected() == Expected::Exactly(0) {
                    self.stage = Stage::Over;
                }
            }
            (Ok(Part::Data(data)), _) => output.push(data),
            (Ok(Part::End(trailers)), Stage::Body { ends, .. }) => {
                if *ends == Ends::Chunk {
                    write::last(output, trailers.as_ref());
                }
                self.stage = Stage::Over;
            }
            (Ok(Part::End(_)), _) => self.stage = Stage::HalfClosed,
            (Err(truncated), stage) => {
                // Where the end of the connection is the end of the body, only a reset is no end.
                if matches!(stage, Stage::Body { ends: Ends::Close, .. } | Stage::Raw(_)) {
                    connection.reset_on_drop();
                }
                self.stage = Stage::Cut(Some(truncated));
            }
        }
    }
}
