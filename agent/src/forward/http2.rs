//! One exchange in HTTP/2 (RFC 9113), as one stream of a connection that others share. Dropped early, the stream is reset.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, client::ResponseFuture};
use http::Response;
use proto::{Fields, HttpVersion, TunnelResponse, headers, headers::EndToEnd, id_text};
use uuid::Uuid;

use super::{
    Failure, Outcome, Receiver, Sender,
    interim::{Interims, Patience},
    request::Request,
};
use crate::upstream::{
    Leased, Service, UpstreamError,
    http2::{Lease, is_refused},
};
use upload::Upload;

mod upload;

/// A request that is being written on a stream, and its response being read.
struct Exchange {
    lease: Lease,
    upload: Upload,
    response: ResponseFuture,
    patience: Patience,
}

/// What the service says before its body.
enum Answer {
    Interim(Response<()>),
    Head(Response<RecvStream>),
    /// Nothing for so long that the client should go on unasked.
    Silence,
}

/// The body of a response on its way to the gateway.
struct Download {
    body: RecvStream,
    /// What credit did not suffice for.
    pending: Bytes,
    /// What of the stream's window is to be given back once that was sent.
    owed: usize,
    bytes: u64,
}

/// Carries an exchange to its end on a stream that was leased.
pub(super) async fn serve(
    id: Uuid,
    request: Request,
    receiver: Receiver,
    mut sender: Sender,
    lease: Lease,
    service: &Service,
    inline: usize,
) -> Outcome {
    let asked = ask(id, request, receiver, &mut sender, lease, service).await;
    match asked {
        Ok((head, exchange)) => relay(id, head, exchange, sender, inline).await,
        Err(failure) => Outcome::default().fail(failure, sender),
    }
}

/// Sends the request and passes on what the service says before its final head.
async fn ask(
    id: Uuid,
    request: Request,
    receiver: Receiver,
    sender: &mut Sender,
    lease: Lease,
    service: &Service,
) -> Result<(Response<RecvStream>, Exchange), Failure> {
    let (mut exchange, mut answer) = begin(&request, receiver, sender, lease, service).await?;
    // It is a part of what was read from the link, which a long response need not keep alive.
    drop(request);
    let mut interims = Interims::new(id);
    loop {
        match answer {
            Answer::Head(head) => return Ok((head, exchange)),
            Answer::Silence => {
                interims.proceed(sender);
                exchange.upload.on_continue();
            }
            Answer::Interim(head) => {
                if head.status() == http::StatusCode::CONTINUE {
                    exchange.patience = Patience::default();
                    exchange.upload.on_continue();
                }
                interims.pass_on(frame(id, &head)?, sender);
            }
        }
        answer = exchange.answer(sender).await?;
    }
}

/// A request without an answer.
struct Unanswered {
    failure: Failure,
    /// What is to be sent again, if it may be.
    again: Option<Upload>,
}

/// Sends the request and waits for the first that the service says. A connection may end at the very moment it is chosen:
/// a request that the service did not look at then goes out again on a fresh one, and so does one that it may see twice.
async fn begin(
    request: &Request,
    receiver: Receiver,
    sender: &mut Sender,
    lease: Lease,
    service: &Service,
) -> Result<(Exchange, Answer), Failure> {
    let upload = Upload::new(request, receiver);
    match attempt(request, upload, sender, lease, service).await {
        Ok(begun) => Ok(begun),
        Err(Unanswered { again: None, failure }) => Err(failure),
        Err(Unanswered { again: Some(upload), failure }) => {
            let lease = tokio::select! {
                leased = Box::pin(service.lease()) => match leased? {
                    Leased::Http2(lease) => lease,
                    Leased::Http1(_) => return Err(failure),
                },
                abort = sender.stopped() => return Err(Failure::Exchange(abort)),
            };
            attempt(request, upload, sender, lease, service).await.map_err(|unanswered| unanswered.failure)
        }
    }
}

async fn attempt(
    request: &Request,
    mut upload: Upload,
    sender: &mut Sender,
    lease: Lease,
    service: &Service,
) -> Result<(Exchange, Answer), Unanswered> {
    let reused = lease.is_reused();
    let head = match request.to_http2(service.upstream()) {
        Ok(head) => head,
        Err(invalid) => return Err(Unanswered { failure: invalid.into(), again: None }),
    };
    let (response, stream) = match lease.begin(head, request.is_bodiless()) {
        Ok(begun) => begun,
        Err(error) => {
            service.http2.forget(&lease);
            return Err(Unanswered { failure: UpstreamError::Http2(error).into(), again: Some(upload) });
        }
    };
    upload.begin(stream, request);
    let patience = Patience::new(upload.is_expecting());
    let mut exchange = Exchange { lease, upload, response, patience };
    match exchange.answer(sender).await {
        Ok(answer) => Ok((exchange, answer)),
        Err(failure) => {
            let again = exchange.may_go_again(&failure, request, reused);
            if again {
                service.http2.forget(&exchange.lease);
            }
            Err(Unanswered { failure, again: again.then_some(exchange.upload) })
        }
    }
}

impl Exchange {
    /// Whether the service did not look at the request, or may see it twice.
    fn may_go_again(&self, failure: &Failure, request: &Request, reused: bool) -> bool {
        let Failure::Upstream(UpstreamError::Http2(error)) = failure else { return false };
        let unseen = is_refused(error) && self.upload.is_untouched();
        unseen || (reused && error.is_io() && request.is_repeatable())
    }

    /// Waits for what the service says next, while the request goes on being written.
    async fn answer(&mut self, sender: &mut Sender) -> Result<Answer, Failure> {
        poll_fn(|cx| self.poll_answer(sender, cx)).await
    }

    fn poll_answer(&mut self, sender: &mut Sender, cx: &mut Context<'_>) -> Poll<Result<Answer, Failure>> {
        self.upload.poll(cx)?;
        if let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
            return Poll::Ready(Ok(Answer::Interim(interim)));
        }
        if let Poll::Ready(response) = Pin::new(&mut self.response).poll(cx) {
            return Poll::Ready(response.map(Answer::Head).map_err(broken));
        }
        if let Poll::Ready(abort) = sender.poll_stopped(cx) {
            return Poll::Ready(Err(Failure::Exchange(abort)));
        }
        self.patience.poll(cx).map(|()| Ok(Answer::Silence))
    }
}

/// Sends a final response. A body that breaks off is aborted, never ended.
async fn relay(
    id: Uuid,
    head: Response<RecvStream>,
    mut exchange: Exchange,
    mut sender: Sender,
    inline: usize,
) -> Outcome {
    let mut outcome = Outcome { status: Some(head.status().as_u16()), ..Outcome::default() };
    if head.status().as_u16() >= 600 {
        return Outcome::default().fail(UpstreamError::Status(head.status().as_u16()), sender);
    }
    exchange.upload.on_answer();
    let mut frame = match frame(id, &head) {
        Ok(frame) => frame,
        Err(error) => return outcome.fail(error, sender),
    };
    let mut download = Download::new(head.into_body());
    frame.body = match poll_fn(|cx| Poll::Ready(download.beginning(inline, cx))).await {
        Ok(body) => body,
        Err(failure) => return outcome.fail(failure, sender),
    };
    frame.end_stream = download.is_over();
    let (length, ended) = (frame.body.len(), frame.end_stream);
    sender.send_head(frame.into(), length, ended);
    if !ended {
        let relayed = poll_fn(|cx| {
            exchange.upload.poll(cx)?;
            download.poll(&mut sender, cx)
        });
        match relayed.await {
            // Too large a trailer section is left out rather than the body spoilt.
            Ok(trailers) => {
                let trailers = trailers.and_then(|trailers| headers::trailers_to_wire(trailers).ok());
                sender.finish(trailers.unwrap_or_default());
            }
            Err(failure) => {
                outcome.bytes = download.bytes;
                return outcome.cut(failure, sender);
            }
        }
    }
    outcome.bytes = download.bytes;
    outcome
}

impl Download {
    fn new(body: RecvStream) -> Self {
        Self { body, pending: Bytes::new(), owed: 0, bytes: 0 }
    }

    /// What is there without waiting, at most `max` bytes.
    fn beginning(&mut self, max: usize, cx: &mut Context<'_>) -> Result<Bytes, Failure> {
        if let Poll::Ready(Some(data)) = self.poll_data(cx)? {
            self.pending = data;
        }
        let beginning = self.pending.split_to(self.pending.len().min(max));
        if self.pending.is_empty() {
            self.give_back();
        }
        Ok(beginning)
    }

    /// Whether all of it was sent, and no trailers follow.
    fn is_over(&self) -> bool {
        self.pending.is_empty() && self.body.is_end_stream()
    }

    /// Sends what comes, as fast as the gateway takes it. Ready at the clean end, with the trailers.
    fn poll(&mut self, sender: &mut Sender, cx: &mut Context<'_>) -> Poll<Result<Option<Fields>, Failure>> {
        loop {
            if !self.pending.is_empty() {
                ready!(sender.poll_send(&mut self.pending, cx)).map_err(Failure::Exchange)?;
                self.give_back();
            }
            match self.poll_data(cx)? {
                Poll::Ready(Some(data)) => self.pending = data,
                Poll::Ready(None) => {
                    let trailers = ready!(self.body.poll_trailers(cx)).map_err(broken)?;
                    return Poll::Ready(Ok(trailers.as_ref().map(Fields::from)));
                }
                Poll::Pending => {
                    // A service may be silent for hours; its client may leave meanwhile.
                    let abort = ready!(sender.poll_stopped(cx));
                    return Poll::Ready(Err(Failure::Exchange(abort)));
                }
            }
        }
    }

    /// The next data that is not empty.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Result<Poll<Option<Bytes>>, Failure> {
        loop {
            match self.body.poll_data(cx) {
                Poll::Ready(Some(Ok(data))) if data.is_empty() => {}
                Poll::Ready(Some(Ok(data))) => {
                    self.owed += data.len();
                    self.bytes += data.len() as u64;
                    return Ok(Poll::Ready(Some(data)));
                }
                Poll::Ready(Some(Err(error))) => return Err(broken(error)),
                Poll::Ready(None) => return Ok(Poll::Ready(None)),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
    }

    /// Lets the service send as much again as the gateway has taken.
    fn give_back(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        // No more than was received, so it cannot fail.
        let _ = self.body.flow_control().release_capacity(owed);
    }
}

/// The frame of a head.
fn frame<B>(id: Uuid, head: &Response<B>) -> Result<TunnelResponse, UpstreamError> {
    let EndToEnd { fields, content_length } =
        EndToEnd::of(Fields::from(head.headers())).map_err(UpstreamError::Fields)?;
    Ok(TunnelResponse {
        id: id_text(id),
        status: head.status().as_u16().into(),
        headers: fields.into_wire(),
        version: HttpVersion::HttpVersion2.into(),
        content_length,
        ..TunnelResponse::default()
    })
}

fn broken(error: h2::Error) -> Failure {
    match error.reason() {
        // Nobody but us takes it back, and only for a client that left.
        Some(Reason::CANCEL) if !error.is_remote() => Failure::Exchange(link::Abort::Stopped),
        _ => UpstreamError::Http2(error).into(),
    }
}
