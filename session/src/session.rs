use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use link::{CloseReason, LifeEvent, Lifecycle, Link, LinkState, OpenError, Opened, Opening};
use proto::{AgentId, Drain, Feature, GatewayFrame, Secret, TokenId, TunnelRequest, drain};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::{ResponseHead, sweeper::Sweeper};

/// A link as the gateway holds it.
pub type GatewayLink = Link<GatewayFrame, ResponseHead>;
/// What a transport writes to an agent.
pub type Outbound = link::Outbound<GatewayFrame, ResponseHead>;
/// The response half of an exchange; dropping it early cancels the request at the agent.
pub type Exchange = link::Receiver<GatewayFrame, ResponseHead>;
/// The request half of an exchange.
pub type Upload = link::Sender<GatewayFrame, ResponseHead>;

/// A process of an agent. Whoever has another token is another one, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    instance_id: String,
    token: TokenId,
}

/// One agent's link, authenticated and running.
pub struct Session {
    pub(crate) id: Uuid,
    pub(crate) agent_id: AgentId,
    pub(crate) token: TokenId,
    /// The key that the agent proved to have; the session falls with it.
    pub(crate) secret: Secret,
    pub(crate) instance_id: String,
    /// Which of the instance's links this is.
    pub(crate) connection: u32,
    /// Whether the agent's service can be asked.
    pub(crate) serving: AtomicBool,
    /// Whether the agent was asked if it is still there and has not answered.
    pub(crate) suspect: AtomicBool,
    pub(crate) life: Mutex<Lifecycle>,
    pub(crate) transport: &'static str,
    pub(crate) peer: Option<SocketAddr>,
    /// Whom the peer speaks for, if it is a proxy.
    pub(crate) client: Option<IpAddr>,
    pub(crate) link: GatewayLink,
    pub(crate) inline_limit: usize,
    /// What both ends know, as on the wire.
    pub(crate) features: Vec<i32>,
    /// What every request is told of the response limit, in milliseconds.
    pub(crate) timeout_ms: u32,
    pub(crate) retirement: Retirement,
    /// Whether the agent was told to make its next link.
    pub(crate) dismissed: AtomicBool,
    pub(crate) watched: AtomicBool,
    pub(crate) sweeper: Sweeper,
}

/// A request that could not be sent, and why.
#[derive(Debug, thiserror::Error)]
#[error("the request was not sent: {error}")]
pub struct NotSent {
    /// The reason.
    pub error: OpenError,
    /// The request, untouched.
    pub request: Box<TunnelRequest>,
}

/// That a session shall end once its exchanges have, and why.
#[derive(Debug, Default)]
pub(crate) struct Retirement {
    reason: OnceLock<drain::Reason>,
    pub(crate) begun: CancellationToken,
}

impl Retirement {
    pub(crate) fn reason(&self) -> drain::Reason {
        self.reason.get().copied().unwrap_or(drain::Reason::Unspecified)
    }
}

/// How good a choice a session is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Nothing speaks against it.
    Ready,
    /// It may be dead.
    Suspect,
    /// It was told to end, and takes requests only for want of a better one.
    Retired,
    /// Its agent's service cannot be asked.
    Unhealthy,
}

/// Whether a request that was sent may be sent again to somebody else: what it asks for is safe (RFC 9110, section 9.2.1),
/// and all of it is there.
pub(crate) fn is_repeatable(request: &TunnelRequest) -> bool {
    request.end_stream && matches!(&request.method[..], b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE")
}

impl Session {
    /// The session's UUID, as the agent knows it.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The agent at the other end.
    pub fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }

    /// The credential that the agent used.
    pub fn token(&self) -> &TokenId {
        &self.token
    }

    /// The transport's label.
    pub fn transport(&self) -> &'static str {
        self.transport
    }

    /// Where the agent's connection comes from, if the transport knows.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Whether the agent knows `feature`. What it does not know must not be relied upon.
    pub fn knows(&self, feature: Feature) -> bool {
        self.features.contains(&i32::from(feature))
    }

    /// Exchanges in progress.
    pub fn in_flight(&self) -> usize {
        self.link.table().active()
    }

    /// Longest body that [`Session::call`] may take inside the request.
    pub fn inline_limit(&self) -> usize {
        self.inline_limit
    }

    /// Opens an exchange with `request`, whose `id` is `id` as text and whose `timeout_ms`, if it is not 0, shortens the
    /// response limit. There is an [`Upload`] unless the request says
    /// `end_stream`.
    ///
    /// # Errors
    /// [`NotSent`] gives the request back: the agent has not seen it.
    pub fn call(
        self: &Arc<Self>,
        id: Uuid,
        request: TunnelRequest,
    ) -> Result<Opened<GatewayFrame, ResponseHead>, NotSent> {
        let opening = Opening {
            inline: request.body.len(),
            end: request.end_stream,
            waits: request.expect_continue || !request.upgrade.is_empty(),
            repeatable: is_repeatable(&request),
            limit: Some(request.timeout_ms).filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms.into())),
        };
        let mut request = Some(request);
        let opened = self.link.open(id, opening, |window| {
            let request = request.take().expect("a head is made once");
            let timeout_ms = [request.timeout_ms, self.timeout_ms].into_iter().filter(|ms| *ms > 0).min();
            TunnelRequest { window, timeout_ms: timeout_ms.unwrap_or_default(), ..request }.into()
        });
        match opened {
            Ok(opened) => {
                self.sweeper.watch(self);
                Ok(opened)
            }
            Err(error) => Err(NotSent { error, request: Box::new(request.expect("no head was made")) }),
        }
    }

    /// Tells the agent, once, to make its next link after a part of `spread`. Otherwise nothing changes: requests are
    /// taken until the session is retired, be it by that link.
    pub(crate) fn dismiss(&self, reason: drain::Reason, deadline: Duration, spread: Duration) {
        if self.dismissed.swap(true, Relaxed) {
            return;
        }
        let [deadline_ms, reconnect_after_ms] =
            [deadline, spread].map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
        self.link.table().push_control(Drain { reason: reason.into(), deadline_ms, reconnect_after_ms });
    }

    /// Takes no new requests and ends once those in progress have, or the deadline has passed.
    pub fn retire(&self, reason: drain::Reason) {
        self.live_through(LifeEvent::Drain);
        let _ = self.retirement.reason.set(reason); // the first reason counts
        self.retirement.begun.cancel();
    }

    /// Ends as [`Session::retire`] does, since a newer link of the same process took its place. If a PING is unanswered at
    /// this moment, that is because this link is dead: what can be repeated need not wait for the proof.
    pub(crate) fn give_way(&self) {
        self.retire(drain::Reason::Replaced);
        let mut table = self.link.table();
        if table.is_asked() {
            table.give_up_unanswered();
        }
    }

    /// Whether the session was told to end.
    pub fn is_retired(&self) -> bool {
        // Asked for every request, so not of the token, which would take a lock.
        self.retirement.reason.get().is_some()
    }

    /// How good a choice it is for a request; `None` if a request has no chance here. A link that was closed stays
    /// registered until its read loop has noticed.
    pub(crate) fn rank(&self) -> Option<Rank> {
        if self.link.is_closed() {
            None
        } else if !self.is_serving() {
            Some(Rank::Unhealthy)
        } else if self.is_retired() || self.dismissed.load(Relaxed) {
            Some(Rank::Retired)
        } else if self.suspect.load(Relaxed) {
            Some(Rank::Suspect)
        } else {
            Some(Rank::Ready)
        }
    }

    /// Takes note of whether the agent leaves a question unanswered. Returns whether that is new.
    pub(crate) fn set_suspect(&self, suspect: bool) -> bool {
        // Asked for every frame, and hardly ever different.
        self.suspect.load(Relaxed) != suspect && self.suspect.swap(suspect, Relaxed) != suspect
    }

    /// Where the link is in its life.
    pub fn state(&self) -> LinkState {
        let (active, asked) = {
            let table = self.link.table();
            (table.active(), table.is_asked())
        };
        self.life().state(active, asked)
    }

    /// Something happened to the link.
    pub(crate) fn live_through(&self, event: LifeEvent) {
        let mut life = self.life();
        let from = life.state(0, false);
        match life.on(event, link::now()) {
            Ok(()) => debug!(%from, to = %life.state(0, false), ?event, "link"),
            Err(illegal) => warn!(%illegal, "an event out of order"),
        }
    }

    fn life(&self) -> MutexGuard<'_, Lifecycle> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session and every exchange on it at once.
    pub fn close(&self, reason: CloseReason) {
        self.link.close(reason);
    }

    /// Whether it was closed because its agent's credential is not good any more.
    pub(crate) fn is_withdrawn(&self) -> bool {
        matches!(self.link.table().close_reason(), Some(CloseReason::Withdrawn { .. }))
    }

    /// Whether both sessions are of one agent process.
    pub(crate) fn is_same_instance(&self, other: &Self) -> bool {
        !self.instance_id.is_empty() && self.instance_id == other.instance_id && self.token == other.token
    }

    /// The agent's process, if it says which it is.
    pub(crate) fn process(&self) -> Option<Process> {
        let (instance_id, token) = (self.instance_id.clone(), self.token.clone());
        (!instance_id.is_empty()).then_some(Process { instance_id, token })
    }

    /// Whether both are the same of one agent process's links, of which only the newest counts.
    pub(crate) fn is_same_link(&self, other: &Self) -> bool {
        self.connection == other.connection && self.is_same_instance(other)
    }

    /// Whether the agent says that its service can be asked.
    pub fn is_serving(&self) -> bool {
        self.serving.load(Relaxed)
    }

    /// Takes note of what the agent says, and returns what it said before.
    pub(crate) fn set_serving(&self, serving: bool) -> bool {
        self.serving.swap(serving, Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn for_tests(agent_id: &str, instance_id: &str, connection: u32) -> Arc<Self> {
        let agent_id = AgentId::parse(agent_id).expect("a valid id");
        let token = TokenId::parse("itk_test").expect("a valid token id");
        let (mut session, outbound) =
            Self::detached(agent_id, token, instance_id, &link::Budget::new(1 << 40));
        std::mem::forget(outbound); // a transport that lives as long as the test
        Arc::get_mut(&mut session).expect("nobody else has it yet").connection = connection;
        session
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id)
            .field("agent_id", &self.agent_id)
            .finish_non_exhaustive()
    }
}
