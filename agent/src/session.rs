use std::{
    fmt,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use link::{Beat, CloseReason, Heartbeat, LifeEvent, LinkError, OpenError, TooManyViolations};
use proto::{
    ControlMessage, Drain, Feature, GatewayFrame, TunnelClose, TunnelRequest, drain, gateway_frame, parse_id,
    tunnel_close::Reason,
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use crate::{
    board::{Board, Health},
    connection::{AgentLink, Ready},
    nudge::Nudges,
    record::Record,
    world::{Arrival, Serve},
};

/// How long the gateway may take to close its half of a link that we closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the gateway may take to answer a PING once we leave.
const FENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long it may take to answer one that was sent because the network may have changed.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest text that goes with a [`proto::Health`], in characters: 256 bytes at most.
const MAX_HEALTH_MESSAGE: usize = 64;

/// One accepted link, served until it ends.
pub(crate) struct Session {
    slot: u32,
    link: AgentLink,
    service: Arc<dyn Serve>,
    board: Arc<Board>,
    record: Arc<Record>,
    exchanges: TaskTracker,
    pongs: Arc<Notify>,
    grace_period: Duration,
    /// Cancelled once requests are no longer taken.
    refusing: CancellationToken,
    /// Longest body that may travel inside a head.
    inline: usize,
    /// A number in 0..1, by which this link's heartbeat differs from others'.
    jitter: f64,
    /// Whether the gateway said that it will end the link.
    drained: bool,
}

/// What a session tells while it goes on.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The gateway wants this link to end: dial another one after a random part of the pause.
    Leave { reason: drain::Reason, reconnect_after: Duration },
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As one of both wanted.
    Orderly(String),
    /// Without a goodbye.
    Cut(String),
    /// Nothing was heard any more.
    Silent(Duration),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orderly(reason) | Self::Cut(reason) => f.write_str(reason),
            Self::Silent(patience) => {
                write!(f, "no heartbeat from the gateway within {} ms", patience.as_millis())
            }
        }
    }
}

impl Session {
    pub(crate) fn new(
        slot: u32,
        ready: &Ready,
        service: Arc<dyn Serve>,
        board: Arc<Board>,
        grace_period: Duration,
        jitter: f64,
    ) -> Self {
        let link = ready.link.clone();
        let inline = link.table().inline_limit();
        Self {
            slot,
            link,
            service,
            board,
            record: Arc::clone(&ready.record),
            exchanges: TaskTracker::new(),
            pongs: Arc::default(),
            grace_period,
            refusing: CancellationToken::new(),
            inline,
            jitter,
            drained: false,
        }
    }

    /// Serves requests until the link ends, and says why it did. `leave` makes it finish what is in progress and leave;
    /// `nudges` make it doubt whether the gateway is still there.
    pub(crate) async fn run(
        mut self,
        ready: Ready,
        notices: mpsc::UnboundedSender<Notice>,
        mut nudges: Nudges,
        leave: Leave,
    ) -> Ended {
        let Ready { mut inbound, accepted, .. } = ready;
        let (interval, patience) =
            pace(accepted.heartbeat_interval_ms, accepted.heartbeat_timeout_ms, self.jitter);
        let mut heartbeat = Heartbeat::new(interval, patience, link::now());
        let mut beat = pin!(tokio::time::sleep_until(heartbeat.deadline().into()));
        let link = self.link.clone();
        let mut closed = pin!(link.closed());
        let mut farewell = pin!(farewell(
            link.clone(),
            Arc::clone(&self.record),
            Arc::clone(&self.pongs),
            self.grace_period,
            leave,
            self.refusing.clone()
        ));
        let mut health = self.board.health();
        let tells_health = accepted.features.contains(&Feature::Health.into());
        if tells_health && !health.borrow_and_update().serving {
            self.tell(&health);
        }
        link.table().ping(link::now());
        let ended = loop {
            tokio::select! {
                biased; // a farewell that is said is no cut, and what has come is heard before the clock is
                () = &mut farewell => {
                    link.close(CloseReason::Shutdown);
                    // What was queued last is still on its way; the gateway closes its half when it has come.
                    let rest = async { while inbound.next().await.is_some_and(|frame| frame.is_ok()) {} };
                    let _ = timeout(CLOSE_TIMEOUT, rest).await;
                    break Ended::Orderly("shut down".to_owned());
                }
                frame = inbound.next() => match self.on_inbound(frame, &mut heartbeat, &notices) {
                    Some(ended) => break ended,
                    // The deadline has moved away as a rule: it is looked at when the old one comes.
                    None if heartbeat.deadline() >= beat.deadline().into_std() => continue,
                    None => {}
                },
                () = &mut beat => if let Some(ended) = self.on_beat(&mut heartbeat, patience) {
                    break ended;
                },
                () = nudges.next() => {
                    heartbeat.on_doubt(DOUBT_TIMEOUT, link::now());
                    self.ping();
                }
                changed = health.changed(), if tells_health => {
                    if changed.is_ok() {
                        self.tell(&health);
                    }
                    continue;
                }
                () = &mut closed => break self.cut("the link broke".to_owned()),
            }
            beat.as_mut().reset(heartbeat.deadline().into());
        };
        self.record.on_lost();
        link.close(CloseReason::Gone);
        self.exchanges.close();
        self.exchanges.wait().await;
        ended
    }

    /// Something came from the gateway, or the link ended. Returns how it did.
    fn on_inbound(
        &mut self,
        frame: Option<Result<GatewayFrame, LinkError>>,
        heartbeat: &mut Heartbeat,
        notices: &mpsc::UnboundedSender<Notice>,
    ) -> Option<Ended> {
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Some(self.cut(error.to_string())),
            None => return Some(self.cut("the gateway closed the link".to_owned())),
        };
        let now = link::now();
        if heartbeat.is_waiting() {
            self.record.on_heartbeat(false);
        }
        heartbeat.on_received(now);
        let error = self.on_frame(frame, now, notices).err()?;
        self.link.close(CloseReason::Protocol(error.to_string()));
        Some(Ended::Orderly(error.to_string()))
    }

    /// It is time to look at the heartbeat. Returns how the link ended, if the gateway is gone.
    fn on_beat(&self, heartbeat: &mut Heartbeat, patience: Duration) -> Option<Ended> {
        let busy = self.link.table().active() > 0;
        match heartbeat.on_deadline(busy, link::now()) {
            Beat::Wait => None,
            Beat::Ping => {
                self.ping();
                None
            }
            Beat::Dead => {
                self.link.close(CloseReason::Silent);
                Some(Ended::Silent(patience))
            }
        }
    }

    fn cut(&self, reason: String) -> Ended {
        if self.drained { Ended::Orderly(reason) } else { Ended::Cut(reason) }
    }

    fn ping(&self) {
        self.record.on_heartbeat(true);
        self.link.table().ping(link::now());
    }

    fn tell(&self, health: &watch::Receiver<Health>) {
        let Health { serving, message } = health.borrow().clone();
        let message = message.chars().take(MAX_HEALTH_MESSAGE).collect();
        self.link.table().push_control(proto::Health { serving, message });
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
                "the agent takes no more requests on this link",
            ));
            return Ok(());
        }
        // A whole body stays with its head; the beginning of one joins the queue that the rest will come to.
        let queued = if request.end_stream { bytes::Bytes::new() } else { std::mem::take(&mut request.body) };
        match self.link.take_up(id, queued, request.end_stream, request.window) {
            Ok(exchange) => {
                self.record.on_request();
                let arrival = Arrival { id, request, exchange, inline: self.inline };
                Arc::clone(&self.service).take_on(arrival, &self.exchanges);
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
        if control.r#type() == proto::control_message::Type::Pong {
            self.record.on_advice(control.reconnect_spread_ms);
        }
        let (sample, best) = {
            let mut table = self.link.table();
            let sample = table.on_control(control, now)?;
            (sample, table.min_rtt())
        };
        if sample.is_some() {
            self.pongs.notify_waiters();
        }
        if let Some(sample) = sample.filter(|sample| self.slot == 0 && Some(*sample) == best) {
            self.board.on_round_trip(sample);
        }
        Ok(())
    }

    fn on_drain(&mut self, drain: &Drain, notices: &mpsc::UnboundedSender<Notice>) {
        let reason = drain.reason();
        debug!(link = self.slot, reason = reason.as_str_name(), "the gateway drains this link");
        self.drained = true;
        self.record.on(LifeEvent::Drain);
        let reconnect_after = Duration::from_millis(drain.reconnect_after_ms.into());
        // Nobody may be listening any more: then this session is an old one already.
        let _ = notices.send(Notice::Leave { reason, reconnect_after });
    }
}

/// The interval and the patience of a heartbeat. Links of one age shall not all beat at the same moment, and none shall
/// be blind for longer than the gateway asked for.
fn pace(interval_ms: u32, timeout_ms: u32, draw: f64) -> (Duration, Duration) {
    let jitter = 0.7 + 0.25 * draw;
    let interval = Duration::from_millis(interval_ms.max(100).into()).mul_f64(jitter);
    (interval, Duration::from_millis(timeout_ms.max(100).into()))
}

/// What makes a link leave.
#[derive(Clone, Debug)]
pub(crate) struct Leave {
    /// It has an heir, or the agent leaves.
    pub(crate) link: CancellationToken,
    /// The agent leaves.
    pub(crate) agent: CancellationToken,
}

/// Once it is time to leave: says so to the gateway and waits for the exchanges in progress.
async fn farewell(
    link: AgentLink,
    record: Arc<Record>,
    pongs: Arc<Notify>,
    grace_period: Duration,
    leave: Leave,
    refusing: CancellationToken,
) {
    leave.link.cancelled().await;
    record.on(LifeEvent::Drain);
    let deadline_ms = match leave.agent.is_cancelled() {
        true => u32::try_from(grace_period.as_millis()).unwrap_or(u32::MAX),
        false => 0,
    };
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
    // A link that has an heir may finish in its own time; an agent that goes does not wait for ever.
    let overdue = async {
        leave.agent.cancelled().await;
        tokio::time::sleep(grace_period).await;
    };
    tokio::select! {
        biased;
        () = link.drained() => {}
        () = overdue => {}
    }
}

#[cfg(test)]
mod tests;
