use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{Stream, StreamExt as _};
use link::{Budget, CloseReason, LifeEvent, Lifecycle, Link, LinkError, ReaderGone, Settings};
use prost::Message as _;
use proto::{AgentFrame, ConnectAccepted, ConnectRequest, Feature, agent_frame, auth, limits};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::{Instrument as _, debug, warn};
use uuid::Uuid;

use crate::{
    AgentRules, Authenticated, Authenticator, LinkInfo, Metrics, Registry, Rejection, Terms,
    audit::{self, Claim},
    herd,
    lobby::Telling,
    reader::{self, Watch},
    seats::{Seat, SeatLimits, Seats},
    session::{GatewayLink, Outbound, Retirement, Session},
    sweeper::Sweeper,
};

/// Turns links into sessions: reads the first frame, checks it, registers the agent and runs its session to the end.
/// Cheap to clone.
#[derive(Clone)]
pub struct Acceptor {
    inner: Arc<Inner>,
}

struct Inner {
    authenticator: Arc<Authenticator>,
    registry: Arc<Registry>,
    metrics: Metrics,
    /// The gateway's name for itself.
    gateway_id: String,
    terms: Terms,
    rules: Box<dyn AgentRules>,
    budget: Budget,
    seats: Seats,
    sweeper: Sweeper,
    sessions: TaskTracker,
    draining: CancellationToken,
    /// Whether agents shall go elsewhere, though their sessions are kept.
    yielding: AtomicBool,
    _sweep: AbortOnDropHandle<()>,
}

impl Acceptor {
    /// An acceptor of the gateway that calls itself `gateway_id`. Its sessions are found in `registry`. Must be called inside
    /// a tokio runtime.
    pub fn new(
        authenticator: Arc<Authenticator>,
        registry: Arc<Registry>,
        metrics: Metrics,
        gateway_id: String,
        terms: Terms,
        rules: Box<dyn AgentRules>,
    ) -> Self {
        let sweeper = Sweeper::new(Arc::clone(&registry), terms.heartbeat_timeout);
        let sweep = AbortOnDropHandle::new(tokio::spawn(sweeper.clone().run()));
        let inner = Inner {
            authenticator,
            registry,
            metrics,
            budget: Budget::new(terms.body_memory),
            gateway_id,
            terms,
            rules,
            seats: Seats::default(),
            sweeper,
            sessions: TaskTracker::new(),
            draining: CancellationToken::new(),
            yielding: AtomicBool::new(false),
            _sweep: sweep,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes over the frames of a link and returns those that the transport shall write. The session runs on a task of
    /// its own; it ends when `inbound` does, when the returned stream is dropped, or by its own decision, and then the
    /// returned stream ends.
    pub fn accept<S>(&self, info: LinkInfo, inbound: S) -> Outbound
    where
        S: Stream<Item = Result<AgentFrame, LinkError>> + Send + 'static,
    {
        let (link, outbound) = Link::new(settings(&self.inner.terms, &self.inner.budget));
        let span = tracing::info_span!(
            "session",
            transport = info.transport,
            peer = info.peer.map(tracing::field::display),
            agent = tracing::field::Empty,
            id = tracing::field::Empty,
        );
        let inner = Arc::clone(&self.inner);
        self.inner.sessions.spawn(async move { inner.serve(info, link, inbound).await }.instrument(span));
        outbound
    }

    /// The memory that the bodies on all sessions share.
    pub fn body_memory(&self) -> Budget {
        self.inner.budget.clone()
    }

    /// Tells agents to make their next links elsewhere. Their sessions stay as they are, for clients that are still here.
    pub fn yield_agents(&self) {
        self.inner.yielding.store(true, Relaxed);
        herd::dismiss(&self.inner.registry, proto::drain::Reason::MaxAge, Duration::ZERO);
    }

    /// Keeps agents again that come from now on.
    pub fn keep_agents(&self) {
        self.inner.yielding.store(false, Relaxed);
    }

    /// Refuses new agents from now on, and tells those that are connected. Their sessions stay until
    /// [`Acceptor::drain`].
    pub fn announce_end(&self) {
        self.inner.draining.cancel();
        herd::dismiss(&self.inner.registry, proto::drain::Reason::Shutdown, self.inner.terms.grace_period);
    }

    /// Refuses new agents from now on, and ends every session once its exchanges have.
    pub fn drain(&self) {
        self.announce_end();
        self.inner.sessions.close();
        for session in self.inner.registry.sessions() {
            session.retire(proto::drain::Reason::Shutdown);
        }
    }

    /// Completes once every session has ended after [`Acceptor::drain`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn drained(&self) {
        self.inner.sessions.wait().await;
    }

    /// Ends the sessions whose token or key is not good any more at `clock`, in milliseconds since the Unix epoch.
    pub fn close_withdrawn(&self, clock: i64) {
        let credentials = self.inner.authenticator.credentials();
        for session in self.inner.registry.sessions() {
            let Session { token, agent_id, secret, .. } = &*session;
            if let Err(why) = credentials.standing(token, agent_id, secret, clock)
                && !session.link.is_closed()
            {
                audit::withdrawn(&session, why);
                session.close(why.into());
            }
        }
    }
}

pub(crate) fn settings(terms: &Terms, budget: &Budget) -> Settings {
    Settings {
        max_concurrent: terms.max_concurrent as usize,
        send_window: limits::INITIAL_WINDOW,
        recv_window: limits::INITIAL_WINDOW,
        reader_gone: ReaderGone::Cancel,
        response_timeout: None, // the agent's, once it is known
        idle_timeout: Some(terms.idle_timeout).filter(|idle| !idle.is_zero()),
        budget: budget.clone(),
    }
}

impl Inner {
    async fn serve<S>(&self, info: LinkInfo, link: GatewayLink, inbound: S)
    where
        S: Stream<Item = Result<AgentFrame, LinkError>>,
    {
        let mut inbound = pin!(inbound);
        let first = tokio::time::timeout(limits::CONNECT_TIMEOUT, inbound.next());
        let mut claim = Claim::none();
        let authenticated = match tokio::select! { biased; first = first => first, () = link.closed() => return }
        {
            Ok(Some(Ok(frame))) => {
                claim = Claim::of(&frame);
                self.authenticate(frame, &info).await
            }
            Ok(Some(Err(error))) => return link.close(error.into()),
            Ok(None) => return link.close(CloseReason::Gone),
            Err(_elapsed) => Err(Rejection::Malformed("no ConnectRequest within 5 s")),
        };
        match authenticated {
            Ok((authenticated, seat)) => self.run(info, link, inbound, authenticated, seat).await,
            Err(rejection) => self.refuse(rejection, &info, &claim, &link),
        }
    }

    async fn authenticate(
        &self,
        frame: AgentFrame,
        info: &LinkInfo,
    ) -> Result<(Authenticated, Seat), Rejection> {
        if frame.encoded_len() > limits::MAX_CONNECT_FRAME {
            return Err(Rejection::Malformed("the first frame is larger than 4 KiB"));
        }
        let Some(agent_frame::Frame::Connect(request)) = frame.frame else {
            return Err(Rejection::Malformed("the first frame must be a ConnectRequest"));
        };
        if self.draining.is_cancelled() {
            return Err(Rejection::Draining);
        }
        let authenticator = &self.authenticator;
        let generation = authenticator.generation();
        info.visitor.may_try(generation, link::now()).map_err(Rejection::Throttled)?;
        let verify = |request| {
            authenticator.verify(request, &info.authority, &info.channel, unix_millis(), link::now())
        };
        let authenticated = match verify(request.clone()) {
            // Agents are often started as soon as their token is made.
            Err(Rejection::Unauthenticated) if authenticator.have_changed_since(generation).await => {
                verify(request)
            }
            found => found,
        }?;
        let seat = self.seats.take(
            &authenticated,
            SeatLimits {
                per_token: authenticated.max_sessions.unwrap_or(self.terms.max_sessions_per_token),
                per_agent: self.terms.max_sessions_per_agent,
            },
        )?;
        Ok((authenticated, seat))
    }

    fn refuse(&self, rejection: Rejection, info: &LinkInfo, claim: &Claim, link: &GatewayLink) {
        let error = rejection.to_wire();
        let code = audit::word_of(error.code());
        let telling = match rejection {
            Rejection::Throttled(_) => Telling::Silence,
            Rejection::Unauthenticated => info.visitor.failed(self.authenticator.generation(), link::now()),
            _ if rejection.is_to_a_stranger() => info.visitor.tell(link::now()),
            _ => Telling::Line,
        };
        match telling {
            Telling::Silence => debug!(code, reason = %rejection, "agent refused"),
            Telling::Line | Telling::LastLine => audit::refused(info, claim, error.code(), &rejection),
        }
        if telling == Telling::LastLine {
            audit::throttled(info, &rejection);
        }
        self.metrics.rejections.get_or_create(&[("code", code)]).inc();
        link.table().push_control(error.clone());
        link.close(CloseReason::Refused(Box::new(error)));
    }

    async fn run<S>(
        &self,
        info: LinkInfo,
        link: GatewayLink,
        inbound: S,
        mut authenticated: Authenticated,
        _seat: Seat,
    ) where
        S: Stream<Item = Result<AgentFrame, LinkError>>,
    {
        let id = Uuid::now_v7();
        let span = tracing::Span::current();
        span.record("agent", tracing::field::display(&authenticated.agent_id));
        span.record("id", tracing::field::display(id));

        let response_timeout = self.rules.response_timeout(&authenticated.agent_id);
        let accepted = self.accepted(id, &authenticated, response_timeout);
        let instances = self.rules.instances(&authenticated.agent_id);
        let agent_version = std::mem::take(&mut authenticated.request.agent_version);
        let session = self.session(id, &info, link, authenticated, &accepted, response_timeout);
        let registration = match self.registry.register(&session, instances) {
            Ok(registration) => registration,
            Err(in_use) => return self.refuse(in_use.into(), &info, &Claim::proved(&session), &session.link),
        };
        let _presence = self.registry.enter(&session);
        info.visitor.accept();
        session.live_through(LifeEvent::Accepted);
        {
            let mut table = session.link.table();
            table.push_control(accepted);
            table.ping(link::now());
            table.uncork();
        }
        // Closes the gaps between verifying and registering: a drain or a revocation may have come in between.
        if self.yielding.load(Relaxed) {
            session.dismiss(proto::drain::Reason::MaxAge, Duration::ZERO, Duration::ZERO);
        }
        if self.draining.is_cancelled() {
            session.retire(proto::drain::Reason::Shutdown);
        }
        let begun = link::now();
        audit::connected(&session, &agent_version);
        let Session { token, agent_id, secret, .. } = &*session;
        let standing = self.authenticator.credentials().standing(token, agent_id, secret, unix_millis());
        if let Err(why) = standing {
            audit::withdrawn(&session, why);
            session.close(why.into());
        }
        let sessions = self.metrics.sessions.get_or_create_owned(&[("transport", info.transport)]);
        sessions.inc();
        let watch = Watch {
            silence_limit: self.silence_limit(),
            grace_period: self.terms.grace_period,
            max_age: herd::age(self.terms.max_link_age, getrandom::u32().unwrap_or_default()),
            registration,
        };
        let reason = reader::run(&session, inbound, watch).await;
        sessions.dec();
        if let CloseReason::Protocol(what) | CloseReason::Malformed(what) | CloseReason::Unsupported(what) =
            &reason
        {
            self.metrics.violations.inc();
            warn!(what, "agent broke the protocol, session closed");
        }
        session.close(reason);
        session.live_through(LifeEvent::Lost);
        let reason = session.link.table().close_reason().cloned();
        audit::disconnected(&session, reason.as_ref(), begun.elapsed());
    }

    /// The session of an agent that is accepted on these terms. Nothing has left on its link yet, and nothing does until
    /// the link is uncorked.
    fn session(
        &self,
        id: Uuid,
        info: &LinkInfo,
        link: GatewayLink,
        authenticated: Authenticated,
        accepted: &ConnectAccepted,
        response_timeout: Duration,
    ) -> Arc<Session> {
        let Authenticated { agent_id, token, request, secret, .. } = authenticated;
        let inline_limit = {
            let mut table = link.table();
            table.agree(accepted.max_concurrent as usize, request.initial_window);
            table.set_response_timeout(Some(response_timeout));
            // An agent that has been accepted must be found at once, and no request may overtake its acceptance.
            table.cork();
            table.inline_limit()
        };
        Arc::new(Session {
            id,
            timeout_ms: millis(response_timeout),
            agent_id,
            token,
            secret,
            instance_id: request.instance_id,
            connection: request.connection,
            serving: AtomicBool::new(true),
            suspect: AtomicBool::new(false),
            life: Mutex::new(Lifecycle::authenticating(link::now())),
            transport: info.transport,
            peer: info.peer,
            client: info.client(),
            link,
            inline_limit,
            features: accepted.features.clone(),
            retirement: Retirement::default(),
            dismissed: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            sweeper: self.sweeper.clone(),
        })
    }

    fn accepted(
        &self,
        session_id: Uuid,
        authenticated: &Authenticated,
        response_timeout: Duration,
    ) -> ConnectAccepted {
        let Authenticated { agent_id, secret, request, .. } = authenticated;
        let terms = &self.terms;
        let max_concurrent = authenticated.max_concurrent.unwrap_or(u32::MAX).min(terms.max_concurrent);
        let session_id = session_id.to_string();
        let transcript = auth::accept_transcript(&request.nonce, &session_id, &self.gateway_id);
        ConnectAccepted {
            protocol_version: limits::PROTOCOL_VERSION,
            features: common_features(request),
            heartbeat_interval_ms: millis(terms.heartbeat_interval),
            heartbeat_timeout_ms: millis(terms.heartbeat_timeout),
            initial_window: limits::INITIAL_WINDOW,
            max_chunk: limits::MAX_CHUNK as u32,
            max_head_bytes: limits::MAX_HEAD_BYTES as u32,
            max_concurrent: match request.max_concurrent {
                0 => max_concurrent,
                wanted => wanted.min(max_concurrent),
            },
            response_timeout_ms: millis(response_timeout),
            public_urls: self.rules.public_urls(agent_id),
            server_time: unix_millis(),
            gateway_id: self.gateway_id.clone(),
            server_signature: auth::sign(secret, &transcript).to_vec().into(),
            session_id,
        }
    }

    /// Two and a half intervals, and never less than an agent's own patience.
    fn silence_limit(&self) -> Duration {
        let terms = &self.terms;
        (terms.heartbeat_interval * 5 / 2).max(terms.heartbeat_interval + terms.heartbeat_timeout)
    }
}

fn common_features(request: &ConnectRequest) -> Vec<i32> {
    let ours = [
        Feature::Trailers,
        Feature::Upgrade,
        Feature::Informational,
        Feature::Drain,
        Feature::Health,
        Feature::Passthrough,
    ];
    ours.map(i32::from).into_iter().filter(|feature| request.features.contains(feature)).collect()
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").field("registry", &self.inner.registry).finish_non_exhaustive()
    }
}
