use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use link::{Beat, CloseReason, Heartbeat, OpenError, TooManyViolations};
use proto::{
    ControlMessage, Drain, GatewayFrame, TunnelClose, TunnelRequest, drain, gateway_frame, parse_id,
    tunnel_close::Reason,
};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use crate::{
    Event, Observer,
    connection::{AgentLink, Ready},
    forward::Forwarder,
};

/// How long the gateway may take to close its half of a link that we closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the gateway may take to answer a PING once we leave.
const FENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// One accepted link, served until it ends.
pub(crate) struct Session {
    link: AgentLink,
    forwarder: Arc<Forwarder>,
    observer: Observer,
    exchanges: TaskTracker,
    pongs: Arc<Notify>,
    grace_period: Duration,
    /// Cancelled once requests are no longer taken.
    refusing: CancellationToken,
    /// Longest body that may travel inside a head.
    inline: usize,
}

/// What a session tells while it goes on.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The gateway wants this link to end: dial another one after a random part of the pause.
    Leave { reason: drain::Reason, reconnect_after: Duration },
}

impl Session {
    pub(crate) fn new(
        link: AgentLink,
        forwarder: Arc<Forwarder>,
        observer: Observer,
        grace_period: Duration,
    ) -> Self {
        let inline = link.table().inline_limit();
        Self {
            link,
            forwarder,
            observer,
            exchanges: TaskTracker::new(),
            pongs: Arc::default(),
            grace_period,
            refusing: CancellationToken::new(),
            inline,
        }
    }

    /// Serves requests until the link ends, and says why it did. Cancelling `shutdown` makes it finish what is in
    /// progress and leave.
    pub(crate) async fn run(
        mut self,
        ready: Ready,
        notices: mpsc::UnboundedSender<Notice>,
        shutdown: CancellationToken,
    ) -> String {
        let Ready { mut inbound, accepted, .. } = ready;
        let jitter = 0.8 + 0.4 * rand::random::<f64>();
        let interval = Duration::from_millis(accepted.heartbeat_interval_ms.max(100).into()).mul_f64(jitter);
        let patience = Duration::from_millis(accepted.heartbeat_timeout_ms.max(100).into());
        let mut heartbeat = Heartbeat::new(interval, patience, link::now());
        let mut beat = pin!(tokio::time::sleep_until(heartbeat.deadline().into()));
        let link = self.link.clone();
        let mut closed = pin!(link.closed());
        let mut farewell = pin!(farewell(
            link.clone(),
            Arc::clone(&self.pongs),
            self.grace_period,
            shutdown.clone(),
            self.refusing.clone()
        ));
        link.table().ping(link::now());
        let reason = loop {
            tokio::select! {
                frame = inbound.next() => {
                    let frame = match frame {
                        Some(Ok(frame)) => frame,
                        Some(Err(error)) => break error.to_string(),
                        None => break "the gateway closed the link".to_owned(),
                    };
                    let now = link::now();
                    heartbeat.on_received(now);
                    if let Err(error) = self.on_frame(frame, now, &notices) {
                        link.close(CloseReason::Protocol(error.to_string()));
                        break error.to_string();
                    }
                }
                () = &mut beat => {
                    match heartbeat.on_deadline(link::now()) {
                        Beat::Wait => {}
                        Beat::Ping => link.table().ping(link::now()),
                        Beat::Dead => {
                            link.close(CloseReason::Silent);
                            break format!("no heartbeat from the gateway within {} ms", patience.as_millis());
                        }
                    }
                    beat.as_mut().reset(heartbeat.deadline().into());
                }
                () = &mut closed => break "the link broke".to_owned(),
                () = &mut farewell => {
                    link.close(CloseReason::Shutdown);
                    // What was queued last is still on its way; the gateway closes its half when it has come.
                    let rest = async { while inbound.next().await.is_some_and(|frame| frame.is_ok()) {} };
                    let _ = timeout(CLOSE_TIMEOUT, rest).await;
                    break "shut down".to_owned();
                }
            }
        };
        link.close(CloseReason::Gone);
        self.exchanges.close();
        self.exchanges.wait().await;
        reason
    }

    fn on_frame(
        &mut self,
        frame: GatewayFrame,
        now: Instant,
        notices: &mpsc::UnboundedSender<Notice>,
    ) -> Result<(), TooManyViolations> {
        use gateway_frame::Frame;
        match frame.frame {
            Some(Frame::Request(request)) => self.on_request(request, now),
            Some(Frame::Data(data)) => self.link.table().on_data(data, now),
            Some(Frame::Close(close)) => self.link.table().on_close(close, now),
            Some(Frame::Window(window)) => self.link.table().on_window(&window, now),
            Some(Frame::Control(control)) => self.on_control(control, now),
            Some(Frame::Drain(drain)) => {
                self.on_drain(&drain, notices);
                Ok(())
            }
            Some(Frame::Accepted(_) | Frame::Error(_)) => {
                self.link.table().strike("a second answer to the ConnectRequest", now)
            }
            // A kind from a later version: it was not negotiated, so nothing relies on it.
            None => Ok(()),
        }
    }

    fn on_request(&mut self, mut request: TunnelRequest, now: Instant) -> Result<(), TooManyViolations> {
        let Ok(id) = parse_id(&request.id) else {
            return self.link.table().strike("an id that is not a UUID", now);
        };
        if self.refusing.is_cancelled() {
            self.link.table().push_control(TunnelClose::because(
                id,
                Reason::Refused,
                "the agent is shutting down",
            ));
            return Ok(());
        }
        // A whole body stays with its head; the beginning of one joins the queue that the rest will come to.
        let queued = if request.end_stream { bytes::Bytes::new() } else { std::mem::take(&mut request.body) };
        match self.link.take_up(id, queued, request.end_stream, request.window) {
            Ok(exchange) => {
                let forwarder = Arc::clone(&self.forwarder);
                self.exchanges.spawn(forwarder.serve(id, request, exchange, self.inline));
                Ok(())
            }
            Err(OpenError::Duplicate) => self.link.table().strike("a request id that is in use", now),
            Err(refused) => {
                debug!(%id, %refused, "request refused");
                self.link.table().push_control(TunnelClose::because(
                    id,
                    Reason::Refused,
                    &refused.to_string(),
                ));
                Ok(())
            }
        }
    }

    fn on_control(&mut self, control: ControlMessage, now: Instant) -> Result<(), TooManyViolations> {
        let (sample, best) = {
            let mut table = self.link.table();
            let sample = table.on_control(control, now)?;
            (sample, table.min_rtt())
        };
        if sample.is_some() {
            self.pongs.notify_waiters();
        }
        if let Some(sample) = sample.filter(|sample| Some(*sample) == best) {
            (self.observer)(Event::RoundTrip(sample));
        }
        Ok(())
    }

    fn on_drain(&mut self, drain: &Drain, notices: &mpsc::UnboundedSender<Notice>) {
        let reason = drain.reason();
        debug!(reason = reason.as_str_name(), "the gateway drains this link");
        let reconnect_after = Duration::from_millis(drain.reconnect_after_ms.into());
        // Nobody may be listening any more: then this session is an old one already.
        let _ = notices.send(Notice::Leave { reason, reconnect_after });
    }
}

/// Once a shutdown begins: says so to the gateway and waits for the exchanges in progress.
async fn farewell(
    link: AgentLink,
    pongs: Arc<Notify>,
    grace_period: Duration,
    shutdown: CancellationToken,
    refusing: CancellationToken,
) {
    shutdown.cancelled().await;
    let deadline_ms = u32::try_from(grace_period.as_millis()).unwrap_or(u32::MAX);
    let reason = drain::Reason::Shutdown.into();
    link.table().push_control(Drain { reason, deadline_ms, reconnect_after_ms: 0 });
    // A request may be on its way to us. A PING behind the Drain is answered when the gateway sends no more; since its
    // answer overtakes requests that were queued before it, a second one is needed to know that they have come.
    for _ in 0..2 {
        let answered = pongs.notified();
        link.table().ping(link::now());
        if timeout(FENCE_TIMEOUT, answered).await.is_err() {
            break;
        }
    }
    refusing.cancel();
    let _ = timeout(grace_period, link.drained()).await;
}
