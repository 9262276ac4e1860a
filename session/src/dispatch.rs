use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use link::{Abort, OpenError, Opened};
use proto::{AgentId, Feature, GatewayFrame, TunnelRequest};
use tracing::debug;
use uuid::Uuid;

use crate::{Choice, Metrics, NotSent, Registry, ResponseHead, Session, session::is_repeatable};
use allowance::Allowance;
pub use verdict::Cause;
use verdict::Verdict;

mod allowance;
#[cfg(test)]
mod tests;
mod verdict;

/// A request is tried so often at most, however safe that is.
const MAX_ATTEMPTS: u32 = 3;
/// With less time left than this, an answer is not to be had any more.
const HASTE: Duration = Duration::from_millis(50);
/// By then the other links of a process that died are found dead as well.
const AFTERMATH: Duration = Duration::from_millis(50);

/// An exchange that was opened.
pub type OpenedExchange = Opened<GatewayFrame, ResponseHead>;

/// Finds sessions for requests, and others for those that fail before anybody saw an answer.
#[derive(Debug)]
pub struct Dispatcher {
    registry: Arc<Registry>,
    allowance: Allowance,
    metrics: Metrics,
}

/// Why there is no session for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The agent has no session.
    Offline,
    /// The agent's service cannot be asked.
    Unhealthy,
    /// All sessions have as much in progress as they may.
    Overloaded,
}

/// A request on its way, with what it takes to send it once more.
#[derive(Debug)]
pub struct Attempt {
    id: Uuid,
    request: TunnelRequest,
    session: Arc<Session>,
    begun: Instant,
    tried: Vec<Tried>,
}

/// A session that will not do.
#[derive(Debug)]
struct Tried {
    session: Arc<Session>,
    /// Whether no other link of the same process will do either.
    whole_instance: bool,
}

impl Tried {
    fn rules_out(&self, other: &Arc<Session>) -> bool {
        Arc::ptr_eq(&self.session, other) || self.whole_instance && self.session.is_same_instance(other)
    }
}

impl Dispatcher {
    /// A dispatcher that finds sessions in `registry`.
    pub fn new(registry: Arc<Registry>, metrics: Metrics) -> Self {
        Self { registry, allowance: Allowance::new(link::now()), metrics }
    }

    /// A session for a request that has not been sent yet. Ready at once, unless there is none and the agent was lost a moment
    /// ago: then it may come back. `is_known` says whether an agent exists that was never here.
    ///
    /// # Errors
    /// [`Unavailable`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn find(
        &self,
        agent_id: &AgentId,
        patience: Duration,
        is_known: impl FnOnce() -> bool,
    ) -> Result<Arc<Session>, Unavailable> {
        match self.registry.pick(agent_id.as_str(), |_| false) {
            Choice::Session(session) => Ok(session),
            Choice::Unhealthy => Err(Unavailable::Unhealthy),
            Choice::Nobody => {
                let is_expected = || self.registry.has_just_begun() && is_known();
                let arrival = self.registry.arrival(agent_id, patience, |_| false, is_expected);
                arrival.await.ok_or(Unavailable::Offline)
            }
        }
    }

    /// Opens the exchange of a request on `session`, or on another one if that is full or ends at this moment.
    ///
    /// # Errors
    /// [`Unavailable`]; no agent has seen the request.
    ///
    /// # Cancel safety
    /// Safe: the request is sent, or it is not.
    pub async fn open(
        &self,
        session: Arc<Session>,
        id: Uuid,
        request: TunnelRequest,
    ) -> Result<(OpenedExchange, Attempt), Unavailable> {
        self.allowance.on_request();
        let begun = link::now();
        let mut attempt = Attempt { id, request, session, begun, tried: Vec::new() };
        let opened = self.send(&mut attempt).await?;
        Ok((opened, attempt))
    }

    /// Sends a request again whose exchange ended with `abort` before its head, if that is safe and there is a place to send
    /// it to. `is_whole` says that nothing of its body was taken from the client behind the beginning that went with its head.
    ///
    /// # Cancel safety
    /// Safe: the request is sent again, or it is not.
    pub async fn again(
        &self,
        attempt: &mut Attempt,
        abort: &Abort,
        is_whole: bool,
    ) -> Option<OpenedExchange> {
        let Verdict { cause, whole_instance, limit } =
            verdict::of(abort, is_repeatable(&attempt.request), is_whole)?;
        if attempt.request.attempt >= limit.min(MAX_ATTEMPTS - 1) || attempt.time_left()? < HASTE {
            return None;
        }
        attempt.tried.push(Tried { session: Arc::clone(&attempt.session), whole_instance });
        let next = match self.elsewhere(attempt, cause).await {
            Some(session) => session,
            // The same process would give the same answer again.
            None if whole_instance => return None,
            None => self.arrival(attempt, attempt.time_left()?).await?,
        };
        if !self.allowance.take(link::now()) {
            debug!(request = %attempt.id, "too many requests are being repeated already");
            return None;
        }
        debug!(request = %attempt.id, cause = cause.label(), session = %next.id(), "request is sent again");
        self.metrics.retries.get_or_create(&[("cause", cause.label())]).inc();
        attempt.session = next;
        attempt.request.attempt += 1;
        attempt.request.timeout_ms = u32::try_from(attempt.time_left()?.as_millis()).unwrap_or(u32::MAX);
        self.send(attempt).await.ok()
    }

    /// Sends a request on its session, or on another one, as long as no agent has seen it.
    async fn send(&self, attempt: &mut Attempt) -> Result<OpenedExchange, Unavailable> {
        loop {
            let error = match attempt.session.call(attempt.id, attempt.request.clone()) {
                Ok(opened) => return Ok(opened),
                Err(NotSent { error, .. }) => error,
            };
            let session = Arc::clone(&attempt.session);
            attempt.tried.push(Tried { session, whole_instance: false });
            attempt.session = match self.pick(attempt, |_| false) {
                Some(session) => session,
                None if error == OpenError::Closed => {
                    let patience = attempt.time_left().unwrap_or_default();
                    self.arrival(attempt, patience).await.ok_or(Unavailable::Offline)?
                }
                None => return Err(Unavailable::Overloaded),
            };
        }
    }

    /// A session that was not tried yet, of another process if there is one: what befell one link may befall the others of
    /// its process a moment later.
    async fn elsewhere(&self, attempt: &Attempt, cause: Cause) -> Option<Arc<Session>> {
        let another_process = self.pick(attempt, |session| attempt.session.is_same_instance(session));
        if another_process.is_some() {
            return another_process;
        }
        let same_process = self.pick(attempt, |_| false)?;
        if cause != Cause::Lost {
            return Some(same_process);
        }
        tokio::time::sleep(AFTERMATH).await;
        self.pick(attempt, |_| false)
    }

    /// A session that can take the request, was not tried yet, and is none of those to `avoid`.
    fn pick(&self, attempt: &Attempt, avoid: impl Fn(&Arc<Session>) -> bool) -> Option<Arc<Session>> {
        let agent_id = attempt.session.agent_id().as_str();
        match self.registry.pick(agent_id, |session| attempt.rules_out(session) || avoid(session)) {
            Choice::Session(session) => Some(session),
            _ => None,
        }
    }

    /// Another session, once there is one.
    async fn arrival(&self, attempt: &Attempt, patience: Duration) -> Option<Arc<Session>> {
        let agent_id = attempt.session.agent_id().clone();
        // A session that is closed may stand in the registry for another moment. One that is not is here, and its agent need
        // not come.
        let is_expected = || attempt.session.rank().is_none();
        let avoid = |session: &Arc<Session>| attempt.rules_out(session);
        self.registry.arrival(&agent_id, patience, avoid, is_expected).await
    }
}

impl Attempt {
    /// What is left of the time that the agent has for its head; `None` if it is over.
    fn time_left(&self) -> Option<Duration> {
        let limits = [self.session.timeout_ms, self.request.timeout_ms];
        let limit = limits.into_iter().filter(|ms| *ms > 0).min().unwrap_or(u32::MAX);
        Duration::from_millis(limit.into()).checked_sub(link::now().saturating_duration_since(self.begun))
    }

    /// Whether a session was tried already, or cannot carry this request.
    fn rules_out(&self, session: &Arc<Session>) -> bool {
        let request = &self.request;
        let lacks = |needed: bool, feature: Feature| needed && !session.knows(feature);
        self.tried.iter().any(|tried| tried.rules_out(session))
            || request.body.len() > session.inline_limit()
            || lacks(!request.upgrade.is_empty(), Feature::Upgrade)
            || lacks(*request.method == *b"CONNECT", Feature::Passthrough)
            || lacks(request.expect_continue, Feature::Informational)
    }
}
