//! Who an agent is, proved. The order of the checks keeps a stranger from learning anything: until the signature was
//! found good, every failure but a malformed frame looks alike.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use proto::{
    AgentId, ChannelBinding, ConnectError, ConnectRequest, Secret, TokenId, auth, connect_error::Code, limits,
};

use crate::{channel::Channel, credentials::Credentials};

mod replay;
#[cfg(test)]
mod tests;

use replay::{Replay, ReplayCache};

/// Checks signed [`ConnectRequest`]s against the credentials of the moment.
#[derive(Debug)]
pub struct Authenticator {
    credentials: RwLock<Arc<Credentials>>,
    /// Names under which this gateway may have been dialled; empty: whatever the link says.
    audiences: Vec<String>,
    replay: Mutex<ReplayCache>,
    /// Signs nothing: its use makes an unknown token take as long as a wrong signature.
    dummy: Secret,
}

/// An agent that proved who it is. Only [`Authenticator::verify`] makes one.
#[derive(Debug)]
pub struct Authenticated {
    pub(crate) agent_id: AgentId,
    pub(crate) token: TokenId,
    pub(crate) secret: Secret,
    pub(crate) request: ConnectRequest,
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
    /// The clocks are too far apart. Said only after a good signature.
    #[error("the agent's clock is more than 60 s away from the gateway's")]
    ClockSkew,
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
    /// The gateway takes no new agents.
    #[error("the gateway is shutting down")]
    Draining,
}

impl Rejection {
    /// The wire form. `server_time` is milliseconds since the Unix epoch; it is told only for clock skew.
    pub fn to_wire(self, server_time: i64) -> ConnectError {
        let (code, retry_after_ms) = match self {
            Self::Malformed(_) | Self::NoTls => (Code::Protocol, 0),
            Self::Unauthenticated | Self::Intercepted => (Code::Unauthenticated, 0),
            Self::ClockSkew => (Code::ClockSkew, 0),
            Self::Replayed => (Code::Replayed, 0),
            Self::AgentIdNotAllowed | Self::Certificate => (Code::AgentIdNotAllowed, 0),
            Self::Version => (Code::Version, 0),
            Self::Busy => (Code::Limit, 5_000),
            Self::Draining => (Code::Unavailable, 1_000),
        };
        let retryable = matches!(self, Self::ClockSkew | Self::Replayed | Self::Busy | Self::Draining);
        let server_time = if self == Self::ClockSkew { server_time } else { 0 };
        ConnectError { code: code.into(), message: self.to_string(), retryable, retry_after_ms, server_time }
    }
}

impl Authenticator {
    /// Checks against `credentials`, and against `audiences` if there are any.
    ///
    /// # Panics
    /// If the system has no random source.
    pub fn new(credentials: Credentials, audiences: Vec<String>) -> Self {
        let mut dummy = [0; Secret::LEN];
        getrandom::fill(&mut dummy).expect("the system has a random source");
        Self {
            credentials: RwLock::new(Arc::new(credentials)),
            audiences,
            replay: Mutex::new(ReplayCache::new(2 * limits::CLOCK_SKEW)),
            dummy: Secret::from_bytes(dummy),
        }
    }

    /// The credentials of the moment.
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Exchanges the credentials. Sessions that live on old ones are the caller's to close.
    pub fn replace_credentials(&self, credentials: Credentials) {
        *self.credentials.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(credentials);
    }

    /// Checks a request. `authority` is the host that the link says was dialled, `channel` what TLS says of it; `clock` is this host's time in
    /// milliseconds since the Unix epoch, `now` the same moment on the monotonic clock.
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
        let secret = grant.map_or(&self.dummy, |grant| &grant.secret);
        let signed = self.is_signed(&request, secret, authority, binding);
        let grant = grant.filter(|_| signed).ok_or(Rejection::Unauthenticated)?;

        if request.channel_binding() == ChannelBinding::Unseen && channel.is_tls() {
            return Err(Rejection::Intercepted);
        }
        if !in_time {
            return Err(Rejection::ClockSkew);
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
        Ok(Authenticated { agent_id, token, secret: grant.secret.clone(), request })
    }

    fn is_signed(&self, request: &ConnectRequest, secret: &Secret, authority: &str, binding: &[u8]) -> bool {
        let signed_for = |audience: &str| {
            let transcript = auth::connect_transcript(request, audience, binding);
            auth::verify(secret, &transcript, &request.signature).is_ok()
        };
        let named = request.audience.as_str();
        if !self.audiences.is_empty() {
            return self.audiences.iter().any(|audience| signed_for(audience));
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
    if request.instance_id.len() > 64 {
        return Err(Rejection::Malformed("the instance id is longer than 64 bytes"));
    }
    AgentId::parse(&request.agent_id).map_err(|_| {
        Rejection::Malformed("the agent id must be one lower-case DNS label, and not a reserved one")
    })
}
