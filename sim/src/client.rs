//! A client with the gateway's ingress around it: what `gateway::ingress` does, without HTTP in bytes.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::Bytes;
use link::Abort;
use proto::{AgentId, TunnelRequest, id_text};
use session::{Choice, Exchange, OpenedExchange, Unavailable};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::{
    body::{self, Way},
    gateway::Gateway,
    scenario::{AGENT_IDS, ClientPlan, Scenario},
    service::PIECE,
    summary::Name,
    trace::Trace,
};

/// How it ended for a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The whole answer.
    Whole,
    /// No agent was asked.
    Unavailable(Unavailable),
    /// The gateway answers itself: the exchange ended before its head.
    Failed(Abort),
    /// The answer broke off, and the client saw that.
    Truncated(Abort),
    /// The client did not wait.
    Left,
    /// There was no gateway, or it died.
    NoGateway,
}

pub(crate) struct Client {
    pub(crate) id: Uuid,
    pub(crate) number: usize,
    pub(crate) plan: ClientPlan,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) trace: Arc<Trace>,
}

/// This long behind a head a client knows whether its request is still read.
const TOLD: Duration = Duration::from_secs(1);
/// With less time left than this, a request need not be sent again.
const HASTE: Duration = Duration::from_millis(100);

impl Client {
    /// Asks a gateway, until there is an outcome.
    pub(crate) async fn run(&self, gateway: &Gateway) -> Outcome {
        let leaves = self.plan.leaves_after.map(|time| Instant::now() + time);
        tokio::select! {
            biased;
            () = gateway.died.cancelled() => Outcome::NoGateway,
            () = at(leaves) => Outcome::Left,
            outcome = self.ask(gateway) => outcome,
        }
    }

    async fn ask(&self, gateway: &Gateway) -> Outcome {
        let dispatcher = &gateway.dispatcher;
        let agent_id = AgentId::parse(AGENT_IDS[self.plan.agent]).expect("the ids of scenarios are valid");
        let session = match dispatcher.find(&agent_id, std::time::Duration::MAX, || true).await {
            Ok(session) => session,
            Err(unavailable) => return self.unavailable(gateway, &agent_id, unavailable),
        };
        let there = if self.plan.upload_pause.is_zero() && !self.plan.expects { PIECE } else { 0 };
        let inline = there.min(self.plan.upload).min(session.inline_limit() as u64);
        let end_stream = inline == self.plan.upload;
        let request = TunnelRequest {
            id: id_text(self.id),
            method: self.plan.method.into(),
            path: format!("/{}", self.number).into(),
            body: body::piece(self.id, Way::Up, 0, inline as usize),
            end_stream,
            expect_continue: self.plan.expects && !end_stream,
            timeout_ms: self.plan.timeout_ms,
            ..TunnelRequest::default()
        };
        let (OpenedExchange { sender, mut receiver }, mut attempt) =
            match dispatcher.open(session, self.id, request).await {
                Ok(opened) => opened,
                Err(unavailable) => return self.unavailable(gateway, &agent_id, unavailable),
            };
        let (opened, mut retries) = (Instant::now(), 0);
        let mut upload = Upload::new(self, inline, sender);
        loop {
            let head = tokio::select! {
                biased;
                head = receiver.head() => head,
                () = upload.step() => continue,
            };
            match head {
                Ok(head) if head.interim => upload.waits &= head.status != 100,
                Ok(head) => {
                    upload.waits = false;
                    self.trace.note(format_args!("{} sees {}", Name(self.id), head.status));
                    return self.read(receiver, upload).await;
                }
                Err(abort) => {
                    self.trace.note(format_args!("{} has no head: {abort:?}", Name(self.id)));
                    match dispatcher.again(&mut attempt, &abort, !upload.taken).await {
                        None => {
                            self.expect_no_other(gateway, &agent_id, &abort, opened, retries, &upload);
                            return Outcome::Failed(abort);
                        }
                        Some(opened) => {
                            self.trace.note(format_args!("{} is sent again", Name(self.id)));
                            retries += 1;
                            upload.begin_again(opened.sender);
                            receiver = opened.receiver;
                        }
                    }
                }
            }
        }
    }

    /// No agent was asked; then there must be none to ask.
    fn unavailable(&self, gateway: &Gateway, agent_id: &AgentId, unavailable: Unavailable) -> Outcome {
        let choice = gateway.registry.pick(agent_id.as_str(), |_| false);
        if unavailable == Unavailable::Offline && matches!(choice, Choice::Session(_)) {
            self.trace.violation(format_args!(
                "{} is told that the agent is offline, but it is there",
                Name(self.id)
            ));
        }
        Outcome::Unavailable(unavailable)
    }

    /// A request that may be sent once more is not given up while there is somebody to send it to.
    fn expect_no_other(
        &self,
        gateway: &Gateway,
        agent_id: &AgentId,
        abort: &Abort,
        opened: Instant,
        retries: u32,
        upload: &Upload<'_>,
    ) {
        let may = match abort {
            Abort::LinkLost { handed_over: false } => retries < 2,
            Abort::LinkLost { handed_over: true } => {
                retries == 0 && upload.sender.is_none() && self.plan.method == "GET"
            }
            _ => false,
        };
        let own = Some(self.plan.timeout_ms).filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms.into()));
        let limit = own.unwrap_or(Duration::MAX).min(self.scenario.rules.response_timeout);
        let in_time = opened.elapsed() + HASTE < limit;
        let choice = gateway.registry.pick(agent_id.as_str(), |_| false);
        let is_scarce = self.scenario.is_scarce();
        if may && !upload.taken && in_time && !is_scarce && matches!(choice, Choice::Session(_)) {
            self.trace.violation(format_args!("{} is given up, but could be sent again", Name(self.id)));
        }
    }

    /// Reads the answer, while the rest of the request is sent.
    async fn read(&self, mut receiver: Exchange, mut upload: Upload<'_>) -> Outcome {
        let (head, length) = (Instant::now(), self.plan.service.length);
        let mut offset = 0;
        loop {
            let pause = Some(Instant::now() + self.plan.reading_pause);
            let mut next = std::pin::pin!(async {
                at(pause).await;
                poll_fn(|cx| receiver.poll_chunk(cx)).await
            });
            let chunk = loop {
                tokio::select! {
                    biased;
                    chunk = &mut next => break chunk,
                    () = upload.step() => {}
                }
            };
            match chunk {
                Some(Ok(chunk)) => {
                    if let Some(place) = body::differs(self.id, Way::Down, offset, &chunk) {
                        self.trace.violation(format_args!(
                            "{} reads at byte {place} what is not its own",
                            Name(self.id)
                        ));
                    }
                    offset += chunk.len() as u64;
                }
                Some(Err(abort)) => return Outcome::Truncated(abort),
                None => {
                    if !upload.is_over() && head.elapsed() > TOLD && !self.scenario.may_stall() {
                        let name = Name(self.id);
                        self.trace
                            .violation(format_args!("{name} was not told that nobody reads its upload"));
                    }
                    if offset != length {
                        let name = Name(self.id);
                        self.trace.violation(format_args!(
                            "{name}: an answer of {length} bytes ended cleanly after {offset}"
                        ));
                    }
                    return Outcome::Whole;
                }
            }
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The rest of a request on its way.
struct Upload<'a> {
    client: &'a Client,
    sender: Option<session::Upload>,
    offset: u64,
    pending: Bytes,
    next: Instant,
    /// Whether anything was taken from the client behind what went with the head.
    taken: bool,
    is_stopped: bool,
    /// Whether nobody has asked for it yet.
    waits: bool,
}

impl<'a> Upload<'a> {
    fn new(client: &'a Client, offset: u64, sender: Option<session::Upload>) -> Self {
        let next = Instant::now() + client.plan.upload_pause;
        Self {
            client,
            sender,
            offset,
            pending: Bytes::new(),
            next,
            taken: false,
            is_stopped: false,
            waits: client.plan.expects,
        }
    }

    /// Whether nothing is left to send, or nobody wants it.
    fn is_over(&self) -> bool {
        self.sender.is_none() || self.is_stopped
    }

    /// The same request is sent over another link.
    fn begin_again(&mut self, sender: Option<session::Upload>) {
        self.sender = sender;
        self.is_stopped = false;
    }

    /// Brings the upload one step further; never ready once there is none.
    ///
    /// # Cancel safety
    /// Safe: what was not sent stays pending.
    async fn step(&mut self) {
        // Kept although it is of no more use: dropped too early it would cancel the exchange.
        let Some(sender) = self.sender.as_mut().filter(|_| !self.is_stopped) else {
            return std::future::pending().await;
        };
        if self.pending.is_empty() {
            let due = (!self.waits).then_some(self.next);
            tokio::select! {
                biased;
                abort = sender.stopped() => return self.stop(&abort),
                () = at(due) => {}
            }
            self.next = Instant::now() + self.client.plan.upload_pause;
            let piece = PIECE.min(self.client.plan.upload - self.offset);
            self.taken = true;
            self.pending = body::piece(self.client.id, Way::Up, self.offset, piece as usize);
            self.offset += piece;
        }
        match poll_fn(|cx| sender.poll_send(&mut self.pending, cx)).await {
            Err(abort) => self.stop(&abort),
            Ok(()) if self.offset < self.client.plan.upload => {}
            Ok(()) => {
                if let Some(sender) = self.sender.take() {
                    sender.finish(Vec::new());
                }
            }
        }
    }

    /// The rest is not needed. Whoever waits for the answer hears why, if it is more than that.
    fn stop(&mut self, abort: &Abort) {
        self.client.trace.note(format_args!("{} stops sending: {abort:?}", Name(self.client.id)));
        self.pending = Bytes::new();
        self.is_stopped = true;
    }
}
