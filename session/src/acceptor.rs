use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{Stream, StreamExt as _};
use link::{Budget, CloseReason, Link, LinkError, ReaderGone, Settings};
use prost::Message as _;
use proto::{AgentFrame, AgentId, ConnectAccepted, ConnectRequest, Feature, agent_frame, auth, limits};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::{Instrument as _, info, warn};
use uuid::Uuid;

use crate::{
    Authenticated, Authenticator, Channel, Metrics, Registry, Rejection, Visitor,
    reader::{self, Watch},
    session::{GatewayLink, Outbound, Retirement, Session},
    sweeper::Sweeper,
};

/// What a gateway grants every session.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The gateway's name for itself.
    pub gateway_id: String,
    /// See [`limits::RESPONSE_TIMEOUT`].
    pub response_timeout: Duration,
    /// The same for agents that have one of their own.
    pub response_timeouts: HashMap<AgentId, Duration>,
    /// See [`limits::IDLE_TIMEOUT`]; zero is for ever.
    pub idle_timeout: Duration,
    /// See [`limits::HEARTBEAT_INTERVAL`].
    pub heartbeat_interval: Duration,
    /// See [`limits::HEARTBEAT_TIMEOUT`].
    pub heartbeat_timeout: Duration,
    /// How long exchanges may go on once a session drains.
    pub grace_period: Duration,
    /// Requests in progress at a time on one session.
    pub max_concurrent: u32,
}

impl Terms {
    fn response_timeout(&self, agent_id: &AgentId) -> Duration {
        self.response_timeouts.get(agent_id).copied().unwrap_or(self.response_timeout)
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            gateway_id: "gateway".to_owned(),
            response_timeout: limits::RESPONSE_TIMEOUT,
            response_timeouts: HashMap::new(),
            idle_timeout: limits::IDLE_TIMEOUT,
            heartbeat_interval: limits::HEARTBEAT_INTERVAL,
            heartbeat_timeout: limits::HEARTBEAT_TIMEOUT,
            grace_period: limits::DRAIN_DEADLINE,
            max_concurrent: limits::MAX_CONCURRENT,
        }
    }
}

/// What a transport knows of a link.
#[derive(Clone, Debug)]
pub struct LinkInfo {
    /// The transport's label in logs and metrics.
    pub transport: &'static str,
    /// Where the connection comes from.
    pub peer: Option<SocketAddr>,
    /// Host that was dialled, as `:authority` or Host say, lower case, without port.
    pub authority: String,
    /// What TLS says of the connection.
    pub channel: Channel,
    /// The connection, as long as nobody is known on it.
    pub visitor: Visitor,
}

/// How an agent's public URLs are made.
pub type PublicUrls = dyn Fn(&AgentId) -> Vec<String> + Send + Sync;

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
    terms: Terms,
    public_urls: Box<PublicUrls>,
    budget: Budget,
    sweeper: Sweeper,
    sessions: TaskTracker,
    draining: CancellationToken,
    _sweep: AbortOnDropHandle<()>,
}

impl Acceptor {
    /// An acceptor whose sessions are found in `registry`. Must be called inside a tokio runtime.
    pub fn new(
        authenticator: Arc<Authenticator>,
        registry: Arc<Registry>,
        metrics: Metrics,
        terms: Terms,
        public_urls: Box<PublicUrls>,
    ) -> Self {
        let sweeper = Sweeper::default();
        let sweep = AbortOnDropHandle::new(tokio::spawn(sweeper.clone().run()));
        let inner = Inner {
            authenticator,
            registry,
            metrics,
            terms,
            public_urls,
            budget: Budget::new(limits::PROCESS_BUDGET),
            sweeper,
            sessions: TaskTracker::new(),
            draining: CancellationToken::new(),
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

    /// Refuses new agents from now on and tells those that are connected to finish and leave.
    pub fn drain(&self) {
        self.inner.draining.cancel();
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

    /// Ends the sessions whose token or key is no longer among the credentials.
    pub fn close_revoked(&self, before: &crate::Credentials) {
        let now = self.inner.authenticator.credentials();
        for session in self.inner.registry.sessions() {
            let kept =
                now.allows(session.token(), session.agent_id()) && now.same_secret(before, session.token());
            if !kept {
                info!(agent = %session.agent_id(), token = %session.token(), session = %session.id(), "token revoked, session closed");
                session.close(CloseReason::Revoked);
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
        response_timeout: Some(terms.response_timeout),
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
        let authenticated = match tokio::select! { first = first => first, () = link.closed() => return } {
            Ok(Some(Ok(frame))) => self.authenticate(frame, &info),
            Ok(Some(Err(error))) => return link.close(error.into()),
            Ok(None) => return link.close(CloseReason::Gone),
            Err(_elapsed) => Err(Rejection::Malformed("no ConnectRequest within 5 s")),
        };
        match authenticated {
            Ok(authenticated) => self.run(info, link, inbound, authenticated).await,
            Err(rejection) => self.refuse(rejection, &link),
        }
    }

    fn authenticate(&self, frame: AgentFrame, info: &LinkInfo) -> Result<Authenticated, Rejection> {
        if frame.encoded_len() > limits::MAX_CONNECT_FRAME {
            return Err(Rejection::Malformed("the first frame is larger than 4 KiB"));
        }
        let Some(agent_frame::Frame::Connect(request)) = frame.frame else {
            return Err(Rejection::Malformed("the first frame must be a ConnectRequest"));
        };
        if self.draining.is_cancelled() {
            return Err(Rejection::Draining);
        }
        self.authenticator.verify(request, &info.authority, &info.channel, unix_millis(), link::now())
    }

    fn refuse(&self, rejection: Rejection, link: &GatewayLink) {
        let error = rejection.to_wire(unix_millis());
        let code = error.code().as_str_name();
        warn!(code, reason = %rejection, "agent refused");
        self.metrics.rejections.get_or_create(&[("code", code)]).inc();
        link.table().push_control(error.clone());
        link.close(CloseReason::Refused(Box::new(error)));
    }

    async fn run<S>(&self, info: LinkInfo, link: GatewayLink, inbound: S, authenticated: Authenticated)
    where
        S: Stream<Item = Result<AgentFrame, LinkError>>,
    {
        info.visitor.accept();
        let id = Uuid::now_v7();
        let span = tracing::Span::current();
        span.record("agent", tracing::field::display(&authenticated.agent_id));
        span.record("id", tracing::field::display(id));

        let accepted = self.accepted(id, &authenticated);
        let Authenticated { agent_id, token, request, secret } = authenticated;
        let features = accepted.features.clone();
        let inline_limit = {
            let mut table = link.table();
            table.agree(accepted.max_concurrent as usize, request.initial_window);
            table.set_response_timeout(Some(self.terms.response_timeout(&agent_id)));
            // An agent that has been accepted must be found at once, and no request may overtake its acceptance.
            table.cork();
            table.push_control(accepted);
            table.ping(link::now());
            table.inline_limit()
        };
        let session = Arc::new(Session {
            id,
            timeout_ms: millis(self.terms.response_timeout(&agent_id)),
            agent_id,
            token,
            instance_id: request.instance_id,
            connection: request.connection,
            serving: AtomicBool::new(true),
            transport: info.transport,
            peer: info.peer,
            link,
            inline_limit,
            features,
            retirement: Retirement::default(),
            watched: AtomicBool::new(false),
            sweeper: self.sweeper.clone(),
        });
        let _presence = self.registry.enter(&session);
        let registration = self.registry.register(&session);
        session.link.table().uncork();
        // Closes the gaps between verifying and registering: a drain or a revocation may have come in between.
        if self.draining.is_cancelled() {
            session.retire(proto::drain::Reason::Shutdown);
        }
        let credentials = self.authenticator.credentials();
        let same_key =
            credentials.grant(session.token().as_str()).is_some_and(|grant| grant.secret.same_as(&secret));
        if !same_key || !credentials.allows(session.token(), session.agent_id()) {
            session.close(CloseReason::Revoked);
        }
        info!(token = %session.token(), version = ?request.agent_version, "agent connected");
        let sessions = self.metrics.sessions.get_or_create_owned(&[("transport", info.transport)]);
        sessions.inc();
        let watch = Watch {
            silence_limit: self.silence_limit(),
            grace_period: self.terms.grace_period,
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
        let reason = session.link.table().close_reason().cloned();
        info!(reason = ?reason, "agent disconnected");
    }

    fn accepted(&self, session_id: Uuid, authenticated: &Authenticated) -> ConnectAccepted {
        let Authenticated { agent_id, secret, request, .. } = authenticated;
        let terms = &self.terms;
        let session_id = session_id.to_string();
        let transcript = auth::accept_transcript(&request.nonce, &session_id, &terms.gateway_id);
        ConnectAccepted {
            protocol_version: limits::PROTOCOL_VERSION,
            features: common_features(request),
            heartbeat_interval_ms: millis(terms.heartbeat_interval),
            heartbeat_timeout_ms: millis(terms.heartbeat_timeout),
            initial_window: limits::INITIAL_WINDOW,
            max_chunk: limits::MAX_CHUNK as u32,
            max_head_bytes: limits::MAX_HEAD_BYTES as u32,
            max_concurrent: match request.max_concurrent {
                0 => terms.max_concurrent,
                wanted => wanted.min(terms.max_concurrent),
            },
            response_timeout_ms: millis(terms.response_timeout(agent_id)),
            public_urls: (self.public_urls)(agent_id),
            server_time: unix_millis(),
            gateway_id: terms.gateway_id.clone(),
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
