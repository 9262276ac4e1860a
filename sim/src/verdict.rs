//! What must hold for every client.

use std::time::Duration;

use link::Abort;
use proto::tunnel_close::Reason;

use crate::{
    client::Outcome,
    scenario::{ClientPlan, Manner, Scenario},
    service::PIECE,
};

/// What stalls a link at most: an exchange that rests is given up after a minute, in either phase.
const STALLS: Duration = Duration::from_secs(120);
/// What a link that carries little still has on its way.
const TRANSFER: Duration = Duration::from_secs(100);

/// How long a client may have to wait for its outcome.
pub(crate) fn limit(plan: &ClientPlan, scenario: &Scenario) -> Duration {
    let pieces = |bytes: u64| u32::try_from(bytes / PIECE + 2).unwrap_or(u32::MAX);
    let own = plan.upload_pause * pieces(plan.upload)
        + (plan.reading_pause * 4 + plan.service.pause) * pieces(plan.service.length)
        + plan.service.thinks;
    let rules = &scenario.rules;
    let waiting = rules.response_timeout + rules.offline_grace;
    if scenario.faults.is_empty() {
        own + waiting + Duration::from_secs(5)
    } else {
        own + waiting + STALLS + TRANSFER
    }
}

/// What is wrong with an outcome, if anything is.
pub(crate) fn flaw(
    outcome: &Outcome,
    executions: u32,
    plan: &ClientPlan,
    scenario: &Scenario,
) -> Option<&'static str> {
    let manner = plan.service.manner;
    let is_safe = plan.method == "GET";
    if executions > 1 && !is_safe {
        return Some("a request that must not be repeated was executed twice");
    }
    if executions > 2 {
        return Some("a request was executed more than twice");
    }
    match outcome {
        Outcome::Whole if executions == 0 => Some("an answer that no service gave"),
        Outcome::Whole
            if matches!(manner, Manner::BreaksOff | Manner::Dies | Manner::Resets | Manner::Silent) =>
        {
            Some("a whole answer, although the service gave none")
        }
        Outcome::Unavailable(_) if executions > 0 => Some("said not to be sent, but executed"),
        Outcome::Failed(Abort::LinkLost { handed_over: false }) if executions > 0 => {
            Some("said not to be handed over, but executed")
        }
        Outcome::Failed(Abort::Violation(_)) | Outcome::Truncated(Abort::Violation(_)) => {
            Some("an end of the link broke the protocol")
        }
        Outcome::Failed(Abort::Stopped) | Outcome::Truncated(Abort::Stopped) => Some("an abort that is none"),
        Outcome::Truncated(Abort::Unheard) => Some("given up although there was an answer"),
        Outcome::Truncated(Abort::Local(Reason::Timeout)) if !scenario.may_stall() => {
            Some("a body stood still for a minute, and nothing had happened to any link")
        }
        Outcome::Failed(Abort::Peer { reason: Reason::FlowControl | Reason::Protocol, .. })
        | Outcome::Truncated(Abort::Peer { reason: Reason::FlowControl | Reason::Protocol, .. }) => {
            Some("the agent found that the gateway broke the protocol")
        }
        outcome if scenario.faults.is_empty() => flaw_in_calm(outcome, plan, scenario),
        _ => None,
    }
}

/// The reason of the agent for which there is no whole answer.
fn broken_off(outcome: &Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Failed(Abort::Peer { reason, .. }) | Outcome::Truncated(Abort::Peer { reason, .. }) => {
            Some(*reason)
        }
        _ => None,
    }
}

/// Where nothing goes wrong, every client gets what its service gave.
fn flaw_in_calm(outcome: &Outcome, plan: &ClientPlan, scenario: &Scenario) -> Option<&'static str> {
    let rules = &scenario.rules;
    let own = Some(plan.timeout_ms).filter(|ms| *ms > 0).map(|ms| Duration::from_millis(ms.into()));
    let limit = own.unwrap_or(rules.response_timeout).min(rules.response_timeout);
    let is_slow = plan.service.thinks + Duration::from_secs(1) > limit;
    let wanted = match plan.service.manner {
        Manner::Whole | Manner::Early | Manner::Interim => matches!(outcome, Outcome::Whole),
        // An abort overtakes what is queued, even the head.
        Manner::BreaksOff => broken_off(outcome) == Some(Reason::UpstreamReset),
        Manner::Dies => broken_off(outcome) == Some(Reason::Cancelled),
        Manner::OutOfReach => {
            let refused =
                Abort::Peer { reason: Reason::UpstreamConnect, message: "nobody listens".to_owned() };
            matches!(outcome, Outcome::Whole) || *outcome == Outcome::Failed(refused)
        }
        Manner::Resets => {
            matches!(outcome, Outcome::Failed(Abort::Peer { reason: Reason::UpstreamReset, .. }))
        }
        Manner::Silent => matches!(outcome, Outcome::Failed(Abort::Local(Reason::Timeout))),
    };
    let excused = matches!(outcome, Outcome::Left) && plan.leaves_after.is_some()
        || scenario.is_scarce()
        || is_slow && matches!(outcome, Outcome::Failed(Abort::Local(Reason::Timeout)));
    (!wanted && !excused).then_some("nothing went wrong, and yet this is not what the service gave")
}
