//! A connection that speaks another protocol from here on: bytes in both directions, each of which ends by itself.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use http1::{BodyLength, ResponseHead};
use proto::TunnelResponse;
use uuid::Uuid;

use super::{Failure, Outcome, Sender, download::Download, exchange::Exchange, response};

/// What goes on in both directions.
struct Switched {
    exchange: Exchange,
    download: Download,
    /// Until the service has ended its direction.
    sender: Option<Sender>,
    /// Whether the client's direction has ended.
    shut: bool,
}

/// Sends the 101 and then carries bytes until both directions have ended. The connection is of no use to anybody else.
pub(super) async fn run(
    id: Uuid,
    mut head: ResponseHead,
    mut exchange: Exchange,
    mut sender: Sender,
) -> Outcome {
    let outcome = Outcome { status: Some(head.status), ..Outcome::default() };
    let upgrade = head.upgrade.take().unwrap_or_default();
    let frame = match response::frame(id, &mut head) {
        Ok(frame) => TunnelResponse { upgrade: String::from_utf8_lossy(&upgrade).into_owned(), ..frame },
        Err(error) => return outcome.fail(error, sender),
    };
    drop(head);
    sender.send_head(frame.into(), 0, false);
    exchange.upload.on_switch();
    carry(exchange, sender, outcome).await
}

/// Carries bytes until both directions have ended.
pub(super) async fn carry(exchange: Exchange, sender: Sender, mut outcome: Outcome) -> Outcome {
    let download = Download::new(BodyLength::UntilClose);
    let mut switched = Switched { exchange, download, sender: Some(sender), shut: false };
    let ended = poll_fn(|cx| switched.poll(cx)).await;
    outcome.bytes = switched.download.bytes;
    match (ended, switched.sender) {
        (Ok(()), _) => outcome,
        (Err(failure), Some(sender)) => outcome.cut(failure, sender),
        (Err(failure), None) => Outcome { error: Some(failure.to_string()), ..outcome },
    }
}

impl Switched {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.poll_up(cx)?;
        self.poll_down(cx)?;
        if self.shut && self.sender.is_none() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if !self.shut && self.exchange.poll_upload(cx)? {
            // A service that takes no more has nothing to be told.
            self.shut = self.exchange.connection.poll_shutdown(cx).is_ready();
        }
        Ok(())
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if let Some(mut sender) = self.sender.take() {
            match self.download.poll(&mut self.exchange.connection, &mut sender, cx) {
                Poll::Ready(Ok(_)) => sender.finish(Vec::new()),
                Poll::Ready(Err(failure)) => {
                    self.sender = Some(sender);
                    return Err(failure);
                }
                Poll::Pending => self.sender = Some(sender),
            }
        }
        Ok(())
    }
}
