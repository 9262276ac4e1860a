//! What the local service says before its answer (RFC 9110, section 15.2).

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::StatusCode;
use proto::{HttpVersion, TunnelResponse, id_text};
use tokio::time::{Sleep, sleep};
use uuid::Uuid;

use super::Sender;

/// Most interim responses that are passed on. The gateway takes no more.
const MAX_INTERIMS: u32 = 16;

/// How long a service may be silent on a request that expects to be told to go on. Many do not know of that, and wait for
/// the body (RFC 9110, section 10.1.1).
const PATIENCE: Duration = Duration::from_secs(1);

/// The interim responses of one exchange.
#[derive(Debug)]
pub(super) struct Interims {
    id: Uuid,
    passed_on: u32,
    /// Whether the client was asked for the body in the service's place.
    proceeded: bool,
}

impl Interims {
    pub(super) fn new(id: Uuid) -> Self {
        Self { id, passed_on: 0, proceeded: false }
    }

    /// Passes one on, unless there were too many or it says what was said already.
    pub(super) fn pass_on(&mut self, frame: TunnelResponse, sender: &mut Sender) {
        let said = self.proceeded && frame.status == u32::from(StatusCode::CONTINUE.as_u16());
        if self.passed_on < MAX_INTERIMS && !said {
            self.passed_on += 1;
            sender.send_interim(TunnelResponse { informational: true, ..frame }.into());
        }
    }

    /// Asks the client for the body in the service's place.
    pub(super) fn proceed(&mut self, sender: &mut Sender) {
        let frame = TunnelResponse {
            id: id_text(self.id),
            status: StatusCode::CONTINUE.as_u16().into(),
            version: HttpVersion::HttpVersion11.into(),
            ..TunnelResponse::default()
        };
        self.pass_on(frame, sender);
        self.proceeded = true;
    }
}

/// How long it is waited for a service to ask for the body. Costs a timer, of requests that expect this only.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    pub(super) fn new(expecting: bool) -> Self {
        Self(expecting.then(|| Box::pin(sleep(PATIENCE))))
    }

    /// Ready once, when it is at its end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.0 else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(())
    }
}
