//! Who came, who left and who was refused: events with the target `audit`, one for each thing that happens.
//!
//! Invariant: of what a stranger says only what was parsed is repeated, and never a secret, a nonce or a signature.

use std::time::Duration;

use link::CloseReason;
use proto::{AgentFrame, AgentId, TokenId, agent_frame, connect_error::Code};
use tracing::{info, warn};

use crate::{LinkInfo, Rejection, credentials::Withdrawn, session::Session};

/// The target of all events here and of those about credentials elsewhere.
pub const TARGET: &str = "audit";

/// Who somebody says to be, before it is proved.
pub(crate) struct Claim {
    token: Option<TokenId>,
    agent_id: Option<AgentId>,
}

impl Claim {
    /// What `frame` claims, as far as it can be what it claims to be.
    pub(crate) fn of(frame: &AgentFrame) -> Self {
        let Some(agent_frame::Frame::Connect(request)) = &frame.frame else { return Self::none() };
        Self { token: TokenId::parse(&request.token).ok(), agent_id: AgentId::parse(&request.agent_id).ok() }
    }

    /// What was proved.
    pub(crate) fn proved(session: &Session) -> Self {
        Self { token: Some(session.token().clone()), agent_id: Some(session.agent_id().clone()) }
    }

    /// Of somebody who has said nothing.
    pub(crate) fn none() -> Self {
        Self { token: None, agent_id: None }
    }
}

pub(crate) fn connected(session: &Session, version: &str) {
    info!(
        target: TARGET,
        what = "connected",
        token = %session.token(),
        agent = %session.agent_id(),
        session = %session.id(),
        peer = session.peer().map(tracing::field::display),
        client = session.client.map(tracing::field::display),
        transport = session.transport(),
        version = %version.escape_debug(),
        "agent connected"
    );
}

pub(crate) fn disconnected(session: &Session, reason: Option<&CloseReason>, lasted: Duration) {
    info!(
        target: TARGET,
        what = "disconnected",
        token = %session.token(),
        agent = %session.agent_id(),
        session = %session.id(),
        peer = session.peer().map(tracing::field::display),
        client = session.client.map(tracing::field::display),
        transport = session.transport(),
        reason = reason.map_or("gone", word),
        duration_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
        "agent disconnected"
    );
}

pub(crate) fn refused(info: &LinkInfo, claim: &Claim, code: Code, rejection: &Rejection) {
    warn!(
        target: TARGET,
        what = "refused",
        token = claim.token.as_ref().map(tracing::field::display),
        agent = claim.agent_id.as_ref().map(tracing::field::display),
        peer = info.peer.map(tracing::field::display),
        client = info.client().map(tracing::field::display),
        transport = info.transport,
        code = word_of(code),
        reason = %rejection,
        "agent refused"
    );
}

/// Said once for each time that an address uses up its attempts, or its lines: what comes from there after that is not worth
/// a line each.
pub(crate) fn throttled(info: &LinkInfo, rejection: &Rejection) {
    let is_locked_out = *rejection == Rejection::Unauthenticated && info.visitor.is_counted();
    warn!(
        target: TARGET,
        what = "throttled",
        peer = info.peer.map(tracing::field::display),
        client = info.client().map(tracing::field::display),
        transport = info.transport,
        "{}",
        if is_locked_out {
            "too many failed attempts from this address; it must wait"
        } else {
            "too many refusals of this address; not all that follow are told"
        }
    );
}

pub(crate) fn withdrawn(session: &Session, why: Withdrawn) {
    warn!(
        target: TARGET,
        what = "withdrawn",
        token = %session.token(),
        agent = %session.agent_id(),
        session = %session.id(),
        reason = why.word(),
        "credential withdrawn, session closed"
    );
}

/// A code as the documents spell it.
pub(crate) fn word_of(code: Code) -> &'static str {
    let name = code.as_str_name();
    name.strip_prefix("CODE_").unwrap_or(name)
}

/// One word for the end of a session.
fn word(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Gone => "gone",
        CloseReason::Silent => "silent",
        CloseReason::Shutdown => "shutdown",
        CloseReason::Replaced => "replaced",
        CloseReason::Withdrawn { what, .. } => what,
        CloseReason::Protocol(_) => "protocol",
        CloseReason::Malformed(_) => "malformed",
        CloseReason::Unsupported(_) => "unsupported",
        CloseReason::TooLarge(_) => "too_large",
        CloseReason::Overloaded => "overloaded",
        CloseReason::Refused(_) => "refused",
        _ => "other",
    }
}
