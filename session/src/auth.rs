//! Who an agent is, proved. The order of the checks keeps a stranger from learning anything: until the signature was
//! found good, every failure but a malformed frame looks alike.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use proto::{
    AgentId, ChannelBinding, ConnectError, ConnectRequest, Secret, TokenId, auth, connect_error::Code, limits,
};

use crate::{
    Channel, InUse,
    credentials::{Credentials, Grant, Key, Withdrawn},
};

mod rechecks;
mod replay;
#[cfg(test)]
mod tests;

use rechecks::Doubts;
pub use rechecks::{Recheck, Rechecks};
use replay::{Replay, ReplayCache};

/// Checks signed [`ConnectRequest`]s against the credentials of the moment.
#[derive(Debug)]
pub struct Authenticator {
    credentials: RwLock<Arc<Credentials>>,
    /// Names under which this gateway may have been dialled; empty: whatever the link says.
    audiences: Vec<String>,
    replay: Mutex<ReplayCache>,
    /// When it began to remember what was used.
    began: Instant,
    /// How often the credentials were exchanged.
    generation: AtomicU64,
    doubts: Doubts,
    /// Signs nothing: it stands in for the keys that a token does not have, so that each request costs the same.
    dummy: Secret,
    /// Signatures that were computed to be compared.
    #[cfg(test)]
    computed: std::sync::atomic::AtomicUsize,
}

/// An agent that proved who it is. Only [`Authenticator::verify`] makes one.
#[derive(Debug)]
pub struct Authenticated {
    pub(crate) agent_id: AgentId,
    pub(crate) token: TokenId,
    /// The key that it signed with.
    pub(crate) secret: Secret,
    pub(crate) request: ConnectRequest,
    pub(crate) max_sessions: Option<u32>,
    pub(crate) max_concurrent: Option<u32>,
}

/// Why a [`ConnectRequest`] is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The frame breaks a rule that needs no secret to check.
    #[error("malformed ConnectRequest: {0}")]
    Malformed(&'static str),
    /// The token is unknown or the signature wrong, on purpose not told apart.
    #[error(
        "unknown token or wrong signature: check INDRANET_TOKEN, and that the agent dials this gateway by one of its names"
    )]
    Unauthenticated,
    /// The token or its key is no longer good. Said only after a good signature.
    #[error(transparent)]
    Withdrawn(Withdrawn),
    /// The clocks are too far apart. Said only after a good signature.
    #[error("the agent's clock is more than 60 s away from the gateway's")]
    ClockSkew(ServerTime),
    /// It was signed before this gateway began to remember which requests were used. Said only after a good signature.
    #[error(
        "signed before this gateway was started, which knows nothing of that time: it must be signed anew"
    )]
    Outdated(ServerTime),
    /// The nonce was used before.
    #[error("this ConnectRequest was used before")]
    Replayed,
    /// The token does not cover the agent id.
    #[error(
        "the token may not claim this agent id: make one with `gateway-tunnel token new --agent-id <id>`"
    )]
    AgentIdNotAllowed,
    /// The signature is bound to a TLS connection that does not end here.
    #[error(
        "the agent's signature is bound to its TLS connection, but this gateway sees no TLS: something in front of it ends TLS"
    )]
    NoTls,
    /// The agent was told that there is no TLS here, and not by this gateway.
    #[error(
        "the agent was told that this gateway sees no TLS, and it does: somebody in between opens the connection and reads it"
    )]
    Intercepted,
    /// The certificate is another agent's.
    #[error(
        "the client certificate is not this agent's: its common name or one of its DNS names must be the agent id"
    )]
    Certificate,
    /// No version is spoken by both sides.
    #[error("no common protocol version: this gateway speaks 1")]
    Version,
    /// Too many connections to remember all their nonces.
    #[error("too many connections at this moment")]
    Busy,
    /// The token, or the agent id, has all the sessions that it may have.
    #[error("no more sessions: {0} has as many as it may have")]
    Sessions(&'static str),
    /// Too many attempts failed that came from the same address.
    #[error("too many failed attempts from this address; try again later")]
    Throttled(Duration),
    /// The gateway takes no new agents.
    #[error("the gateway is shutting down")]
    Draining,
    /// Another process of the agent is there.
    #[error(transparent)]
    InUse(#[from] InUse),
}

/// What time it is here, with the proof that the gateway says so. Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTime {
    time: i64,
    signature: [u8; auth::SIGNATURE_LEN],
}

impl ServerTime {
    fn signed(time: i64, nonce: &[u8], secret: &Secret) -> Self {
        Self { time, signature: auth::sign(secret, &auth::skew_transcript(nonce, time)) }
    }
}

impl Rejection {
    /// Whether nothing was proved before it, so that anybody can be refused like that as often as he likes.
    pub(crate) fn is_to_a_stranger(&self) -> bool {
        matches!(
            self,
            Self::Malformed(_) | Self::Unauthenticated | Self::NoTls | Self::Throttled(_) | Self::Draining
        )
    }

    /// The wire form.
    pub fn to_wire(self) -> ConnectError {
        let (code, retry_after_ms) = match self {
            Self::Malformed(_) | Self::NoTls => (Code::Protocol, 0),
            Self::Unauthenticated | Self::Intercepted | Self::Withdrawn(_) => (Code::Unauthenticated, 0),
            Self::ClockSkew(_) | Self::Outdated(_) => (Code::ClockSkew, 0),
            Self::Replayed => (Code::Replayed, 0),
            Self::AgentIdNotAllowed | Self::Certificate => (Code::AgentIdNotAllowed, 0),
            Self::Version => (Code::Version, 0),
            Self::Busy | Self::Sessions(_) => (Code::Limit, 5_000),
            Self::Throttled(wait) => {
                (Code::Limit, u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1))
            }
            Self::Draining => (Code::Unavailable, 1_000),
            Self::InUse(InUse) => (Code::AgentIdInUse, 10_000),
        };
        let retryable = matches!(
            code,
            Code::ClockSkew | Code::Replayed | Code::Limit | Code::Unavailable | Code::AgentIdInUse
        );
        let error = ConnectError {
            code: code.into(),
            message: self.to_string(),
            retryable,
            retry_after_ms,
            ..ConnectError::default()
        };
        match self {
            Self::ClockSkew(ServerTime { time, signature })
            | Self::Outdated(ServerTime { time, signature }) => {
                ConnectError { server_time: time, server_signature: signature.to_vec().into(), ..error }
            }
            _ => error,
        }
    }
}

impl Authenticator {
    /// Checks against `credentials`, and against `audiences` if there are any. `began` is no later than the first request can
    /// have come: what was signed before may have been used with an earlier process.
    ///
    /// # Panics
    /// If the system has no random source.
    pub fn new(credentials: Credentials, audiences: Vec<String>, began: Instant) -> Self {
        let mut dummy = [0; Secret::LEN];
        getrandom::fill(&mut dummy).expect("the system has a random source");
        Self {
            credentials: RwLock::new(Arc::new(credentials)),
            audiences,
            replay: Mutex::new(ReplayCache::new(2 * limits::CLOCK_SKEW)),
            began,
            generation: AtomicU64::new(0),
            doubts: Doubts::default(),
            dummy: Secret::from_bytes(dummy),
            #[cfg(test)]
            computed: std::sync::atomic::AtomicUsize::default(),
        }
    }

    /// The credentials of the moment.
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Exchanges the credentials. Sessions that live on old ones are the caller's to close.
    pub fn replace_credentials(&self, credentials: Credentials) {
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(credentials);
        self.generation.fetch_add(1, Relaxed);
    }

    /// A number that is another one whenever the credentials are others.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// Requests to look at the source of the credentials, for the one who exchanges them when it changes. Before somebody is
    /// refused as unknown such a request is made and its end waited for. Only the last one to ask for them has them.
    pub fn rechecks(&self) -> Rechecks {
        self.doubts.follow()
    }

    /// Has the source of the credentials looked at once more. Returns whether they are others than those of `generation`.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn have_changed_since(&self, generation: u64) -> bool {
        if self.generation() == generation {
            self.doubts.settle().await;
        }
        self.generation() != generation
    }

    /// Checks a request. `authority` is the host that the link says was dialled, `channel` what TLS says of it; `clock` is
    /// this host's time in milliseconds since the Unix epoch, `now` the same moment on the monotonic clock.
    ///
    /// # Errors
    /// The first [`Rejection`] in the order of the module's text.
    pub fn verify(
        &self,
        request: ConnectRequest,
        authority: &str,
        channel: &Channel,
        clock: i64,
        now: Instant,
    ) -> Result<Authenticated, Rejection> {
        let agent_id = well_formed(&request)?;
        let binding = binding(&request, channel)?;
        let skew = limits::CLOCK_SKEW.as_millis();
        let in_time = request
            .timestamp
            .checked_sub(clock)
            .is_some_and(|distance| u128::from(distance.unsigned_abs()) <= skew);

        let credentials = self.credentials();
        let grant = credentials.grant(&request.token);
        let key = self.signed_with(&request, grant, authority, binding);
        let (grant, key) = grant.zip(key).ok_or(Rejection::Unauthenticated)?;
        grant.standing(key, clock).map_err(Rejection::Withdrawn)?;
        let secret = match (key, &grant.previous) {
            (Key::Previous, Some(previous)) => &previous.secret,
            _ => &grant.secret,
        };

        if request.channel_binding() == ChannelBinding::Unseen && channel.is_tls() {
            return Err(Rejection::Intercepted);
        }
        let server_time = || ServerTime::signed(clock, &request.nonce, secret);
        if !in_time {
            return Err(Rejection::ClockSkew(server_time()));
        }
        // One that is bound to this connection cannot have been used on another.
        if request.channel_binding() != ChannelBinding::TlsExporter
            && request.timestamp < self.began_at(clock, now)
        {
            return Err(Rejection::Outdated(server_time()));
        }
        if request.protocol_version < limits::PROTOCOL_VERSION {
            return Err(Rejection::Version);
        }
        if !grant.may_claim(&agent_id) {
            return Err(Rejection::AgentIdNotAllowed);
        }
        if !channel.is_certified(&agent_id) {
            return Err(Rejection::Certificate);
        }
        let token = TokenId::parse(&request.token).map_err(|_| Rejection::Unauthenticated)?;
        self.remember(&token, &request.nonce, now)?;
        let (max_sessions, max_concurrent) = (grant.max_sessions, grant.max_concurrent);
        Ok(Authenticated { agent_id, token, secret: secret.clone(), request, max_sessions, max_concurrent })
    }

    /// When it began, as the clock says now: that may have been set since. Both ends of the time since then are cut to
    /// milliseconds, so it is rounded up, lest an agent be refused that signed in the same millisecond.
    fn began_at(&self, clock: i64, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.began).as_nanos().div_ceil(1_000_000);
        clock.saturating_sub(i64::try_from(since).unwrap_or(i64::MAX))
    }

    /// Which of the token's keys made the signature. Computes as many signatures for a token that does not exist as for
    /// any other, and does not stop at the right one.
    fn signed_with(
        &self,
        request: &ConnectRequest,
        grant: Option<&Grant>,
        authority: &str,
        binding: &[u8],
    ) -> Option<Key> {
        let current = grant.map_or(&self.dummy, |grant| &grant.secret);
        let previous = grant.and_then(|grant| grant.previous.as_ref());
        let previous = previous.map_or(&self.dummy, |previous| &previous.secret);
        let by_previous = self.is_signed(request, previous, authority, binding);
        let by_current = self.is_signed(request, current, authority, binding);
        match (by_current, by_previous) {
            (true, _) => Some(Key::Current),
            (false, true) => Some(Key::Previous),
            (false, false) => None,
        }
    }

    fn is_signed(&self, request: &ConnectRequest, secret: &Secret, authority: &str, binding: &[u8]) -> bool {
        let signed_for = |audience: &str| {
            #[cfg(test)]
            self.computed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let transcript = auth::connect_transcript(request, audience, binding);
            auth::verify(secret, &transcript, &request.signature).is_ok()
        };
        let named = request.audience.as_str();
        if !self.audiences.is_empty() {
            return self.audiences.iter().fold(false, |found, audience| signed_for(audience) | found);
        }
        // A proxy in front may have changed what the link says, but not what the agent said.
        signed_for(if named.is_empty() { authority } else { named })
    }

    fn remember(&self, token: &TokenId, nonce: &[u8], now: Instant) -> Result<(), Rejection> {
        let mut replay = self.replay.lock().unwrap_or_else(PoisonError::into_inner);
        match replay.insert(token, nonce, now) {
            Replay::Fresh => Ok(()),
            Replay::Seen => Err(Rejection::Replayed),
            Replay::Full => Err(Rejection::Busy),
        }
    }
}

/// What stands in the transcript for the channel. That an agent says which it is is not signed itself, and need not be: with
/// another the signature is wrong.
fn binding<'a>(request: &ConnectRequest, channel: &'a Channel) -> Result<&'a [u8], Rejection> {
    match ChannelBinding::try_from(request.channel_binding) {
        Ok(ChannelBinding::None) => Ok(b""),
        Ok(ChannelBinding::TlsExporter) => channel.binding().ok_or(Rejection::NoTls),
        Ok(ChannelBinding::Unseen) => Ok(auth::UNSEEN),
        Err(_) => Err(Rejection::Malformed("a channel binding of an unknown kind")),
    }
}

fn well_formed(request: &ConnectRequest) -> Result<AgentId, Rejection> {
    if !(auth::NONCE_LEN..=64).contains(&request.nonce.len()) {
        return Err(Rejection::Malformed("the nonce must be 16 to 64 bytes"));
    }
    if request.labels.len() > limits::MAX_LABELS {
        return Err(Rejection::Malformed("more than 16 labels"));
    }
    if request.connection >= limits::MAX_CONNECTIONS {
        return Err(Rejection::Malformed("an agent has at most 16 connections, numbered from 0"));
    }
    if request.instance_id.len() > 64 {
        return Err(Rejection::Malformed("the instance id is longer than 64 bytes"));
    }
    AgentId::parse(&request.agent_id).map_err(|_| {
        Rejection::Malformed("the agent id must be one lower-case DNS label, and not a reserved one")
    })
}
