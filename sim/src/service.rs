use std::{convert::Infallible, future::poll_fn, sync::Arc, time::Duration};

use agent::world::{Arrival, Serve};
use bytes::Bytes;
use link::{Abort, Receiver, Sender, TakenUp};
use proto::{AgentFrame, Header, TunnelRequest, TunnelResponse, id_text, tunnel_close::Reason};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::{
    body::{self, Way},
    ledger::Ledger,
    scenario::{Manner, Scenario, ServicePlan},
    summary::Name,
    trace::Trace,
};

/// A piece of a body that is written at a time.
pub(crate) const PIECE: u64 = 20_000;

/// What one agent's process forwards requests to. It answers as the scenario says.
pub(crate) struct Service {
    pub(crate) process: usize,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) trace: Arc<Trace>,
}

/// One request at the service.
struct Call {
    service: Arc<Service>,
    id: Uuid,
    plan: ServicePlan,
    upload: u64,
    sender: Sender<AgentFrame, Infallible>,
    /// As much of a body as may travel inside a head.
    inline: usize,
}

impl Serve for Service {
    fn take_on(self: Arc<Self>, arrival: Arrival, tasks: &TaskTracker) {
        tasks.spawn(self.answer(arrival));
    }
}

impl Service {
    async fn answer(self: Arc<Self>, arrival: Arrival) {
        let Arrival { id, request, exchange, inline } = arrival;
        let path = String::from_utf8_lossy(&request.path);
        let Ok(client) = path.trim_start_matches('/').parse::<usize>() else {
            return self.trace.violation(format_args!("{} has a path that no client sent: {path}", Name(id)));
        };
        let plan = self.scenario.service_plan(client);
        let TakenUp { sender, receiver } = exchange;
        let first = self.ledger.on_arrived(client, self.process);
        self.trace.note(format_args!("process {}: {} arrives", self.process, Name(id)));
        if plan.manner == Manner::OutOfReach && first == self.process {
            return sender.abort(Reason::UpstreamConnect, "nobody listens");
        }
        self.ledger.on_executed(client);
        let upload = self.scenario.upload(client);
        let call = Call { service: self, id, plan, upload, sender, inline };
        call.run(request, receiver).await;
    }
}

impl Call {
    async fn run(mut self, request: TunnelRequest, receiver: Receiver<AgentFrame, Infallible>) {
        let (trace, id) = (Arc::clone(&self.service.trace), self.id);
        let unread = match self.plan.manner {
            Manner::Silent => {
                self.sender.stopped().await;
                return;
            }
            Manner::Resets => return self.sender.abort(Reason::UpstreamReset, "the service is gone"),
            Manner::Early => Some(receiver),
            manner => {
                if manner == Manner::Interim {
                    self.say(103);
                }
                if request.expect_continue {
                    self.say(100);
                }
                match self.read(request, receiver).await {
                    Ok(length) if length == self.upload => None,
                    Ok(length) => {
                        let wanted = self.upload;
                        return trace.violation(format_args!(
                            "{}: an upload of {wanted} bytes ended cleanly after {length}",
                            Name(id)
                        ));
                    }
                    Err(_) => return,
                }
            }
        };
        if self.wait(self.plan.thinks).await.is_ok() {
            let outcome = self.write(unread).await;
            trace.note(format_args!("{} was answered: {outcome:?}", Name(id)));
        }
    }

    /// Sends an interim response.
    fn say(&mut self, status: u32) {
        let id = id_text(self.id);
        self.sender
            .send_interim(TunnelResponse { id, status, informational: true, ..Default::default() }.into());
    }

    /// Reads the request to its end.
    async fn read(
        &mut self,
        request: TunnelRequest,
        mut receiver: Receiver<AgentFrame, Infallible>,
    ) -> Result<u64, Abort> {
        let mut length = 0;
        if request.end_stream {
            self.check(0, &request.body);
            return Ok(request.body.len() as u64);
        }
        while let Some(chunk) = poll_fn(|cx| receiver.poll_chunk(cx)).await {
            let chunk = chunk?;
            self.check(length, &chunk);
            length += chunk.len() as u64;
        }
        Ok(length)
    }

    fn check(&self, offset: u64, bytes: &[u8]) {
        if let Some(place) = body::differs(self.id, Way::Up, offset, bytes) {
            self.service
                .trace
                .violation(format_args!("{}: byte {place} of the upload is another one's", Name(self.id)));
        }
    }

    async fn write(mut self, unread: Option<Receiver<AgentFrame, Infallible>>) -> Result<(), Abort> {
        let ServicePlan { manner, length, pause, trailers, .. } = self.plan;
        let breaks_off = matches!(manner, Manner::BreaksOff | Manner::Dies);
        let beginning = if pause.is_zero() { length.min(self.inline as u64).min(PIECE) } else { 0 };
        let beginning = if breaks_off { beginning / 2 } else { beginning };
        let end = beginning == length && !trailers && !breaks_off;
        let head = TunnelResponse {
            id: id_text(self.id),
            status: 200,
            body: self.piece(0, beginning),
            end_stream: end,
            content_length: (length % 2 == 0).then_some(length),
            ..TunnelResponse::default()
        };
        self.sender.send_head(head.into(), beginning as usize, end);
        drop(unread);
        let stop = if breaks_off { length / 2 } else { length };
        let mut offset = beginning;
        while offset < stop {
            self.wait(pause).await?;
            let piece = PIECE.min(stop - offset);
            self.sender.send(self.piece(offset, piece)).await?;
            offset += piece;
        }
        match manner {
            Manner::BreaksOff => self.sender.abort(Reason::UpstreamReset, "the service broke off"),
            Manner::Dies => drop(self.sender),
            _ if end => {}
            _ => self.sender.finish(if trailers {
                vec![Header { name: Bytes::from_static(b"x-whole"), value: Bytes::from_static(b"yes") }]
            } else {
                Vec::new()
            }),
        }
        Ok(())
    }

    fn piece(&self, offset: u64, length: u64) -> Bytes {
        body::piece(self.id, Way::Down, offset, length as usize)
    }

    /// Lets time pass, unless nobody wants the answer any more.
    async fn wait(&mut self, time: Duration) -> Result<(), Abort> {
        if time.is_zero() {
            return Ok(());
        }
        tokio::select! {
            biased;
            abort = self.sender.stopped() => Err(abort),
            () = sleep(time) => Ok(()),
        }
    }
}
