//! Which requests may be sent again.
//!
//! | the exchange ended because | may be sent again |
//! |---|---|
//! | its link was lost before the request was handed over | any method |
//! | the agent refused it, or could not connect to its service | any method |
//! | its link was lost, or not heard of, behind the request | once, if the method is safe and all of the body was in the head |
//! | anything else | never |
//!
//! In every case nothing of the body may have been taken from the client behind what went with the head, and nothing of an
//! answer may have reached the client. (RFC 9110, section 9.2.2; RFC 9113, section 8.7.)

use link::Abort;
use proto::tunnel_close::Reason;

/// Why a request is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It never left the gateway.
    Unsent,
    /// The agent refused it.
    Refused,
    /// The agent could not connect to its service.
    UpstreamConnect,
    /// Its link was lost.
    Lost,
    /// Its link may be dead.
    Unheard,
}

impl Cause {
    /// The name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::Refused => "refused",
            Self::UpstreamConnect => "upstream_connect",
            Self::Lost => "lost",
            Self::Unheard => "unheard",
        }
    }
}

/// How a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) cause: Cause,
    /// Whether only another process will do.
    pub(super) whole_instance: bool,
    /// As often as this.
    pub(super) limit: u32,
}

pub(super) fn of(abort: &Abort, is_repeatable: bool, is_whole: bool) -> Option<Verdict> {
    let cause = match abort {
        Abort::LinkLost { handed_over: false } => Cause::Unsent,
        Abort::Peer { reason: Reason::Refused, .. } => Cause::Refused,
        Abort::Peer { reason: Reason::UpstreamConnect, .. } => Cause::UpstreamConnect,
        Abort::LinkLost { handed_over: true } => Cause::Lost,
        Abort::Unheard => Cause::Unheard,
        _ => return None,
    };
    let was_sent = matches!(cause, Cause::Lost | Cause::Unheard);
    let limit = if was_sent { 1 } else { u32::MAX };
    let may = is_whole && (!was_sent || is_repeatable);
    may.then_some(Verdict { cause, whole_instance: cause == Cause::UpstreamConnect, limit })
}
