//! Every answer that the gateway makes itself: why, whose side is at fault, and what to do about it.

mod asked;
mod format;
mod render;
mod respond;

use std::time::Duration;

use http::StatusCode;

pub(crate) use asked::Asked;
pub(crate) use respond::respond;

/// Why a request is answered by the gateway instead of by the service behind an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(dead_code, reason = "the table of what a client may be told is complete, not every limit exists yet")]
pub(crate) enum IngressError {
    /// No `Host`, two of them, or one that is not a host name.
    #[error("no single valid host name")]
    BadHost,
    /// A head that is not HTTP.
    #[error("malformed request")]
    BadRequest,
    /// A request target that is none.
    #[error("malformed request target")]
    BadTarget,
    /// An expectation other than `100-continue`.
    #[error("an expectation that cannot be met")]
    ExpectationFailed,
    /// A version of HTTP that nobody here speaks.
    #[error("unsupported HTTP version")]
    UnsupportedVersion,
    /// Both `content-length` and `transfer-encoding`, or an encoding other than `chunked`.
    #[error("ambiguous body framing")]
    BadFraming,
    /// The client broke its own request off. Hardly ever read by anybody.
    #[error("the client broke off its request")]
    ClientGone,
    /// A method that cannot go through a tunnel of requests, such as CONNECT.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// Nobody has this host name, or it is not for the outside to know.
    #[error("no such agent")]
    AgentNotFound,
    /// The agent is known and not connected.
    #[error("the agent is not connected")]
    AgentOffline {
        /// When to try again; `None` hides that the agent is known, behind a 404.
        retry_after: Option<Duration>,
    },
    /// The body is over the limit.
    #[error("request body over the limit")]
    BodyTooLarge,
    /// The request target is over the limit.
    #[error("request target over the limit")]
    UriTooLong,
    /// The header fields are over the limit.
    #[error("request head over the limit")]
    HeadTooLarge,
    /// As many requests, or bytes of them, are in progress as may be.
    #[error("too many requests in progress")]
    Overloaded,
    /// The gateway is shutting down.
    #[error("the gateway is draining")]
    Draining,
    /// The agent cannot connect to its service.
    #[error("the service behind the agent refused the connection")]
    UpstreamRefused,
    /// The service broke off, or answered with something that is not HTTP.
    #[error("the service behind the agent gave a bad response")]
    UpstreamBadResponse,
    /// The link ended before the response head.
    #[error("the link to the agent was lost before the response")]
    TunnelLost,
    /// No response head in time.
    #[error("no response head in time")]
    ResponseTimeout,
    /// A fault of the gateway.
    #[error("internal error")]
    Internal,
}

/// Whose side an error is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Whoever sent the request.
    Client,
    /// The gateway.
    Gateway,
    /// The agent, or its link.
    Agent,
    /// The service behind the agent.
    Service,
}

/// What a client is told about an error. Fixed texts: nothing a peer sent is in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The stable code of the `indranet-error` field, for programs and metrics.
    pub(crate) code: &'static str,
    /// A few words.
    pub(crate) title: &'static str,
    /// Whose side is at fault.
    pub(crate) side: Side,
    /// What happened and what to do.
    pub(crate) detail: &'static str,
}

impl IngressError {
    /// Everything a client is told.
    pub(crate) fn explanation(&self) -> Explanation {
        use Side::{Agent, Client, Gateway, Service};
        let (status, code, title, side, detail) = match self {
            Self::BadHost => (400, "bad_host", "Bad host", Client, BAD_HOST),
            Self::BadRequest => (400, "bad_request", "Malformed request", Client, BAD_REQUEST),
            Self::BadTarget => (400, "bad_target", "Malformed address", Client, BAD_TARGET),
            Self::ExpectationFailed => (417, "expectation_failed", "Expectation failed", Client, EXPECTATION),
            Self::UnsupportedVersion => (400, "unsupported_version", "Unsupported version", Client, VERSION),
            Self::BadFraming => (400, "bad_framing", "Ambiguous request body", Client, BAD_FRAMING),
            Self::ClientGone => (400, "client_cancelled", "Request broken off", Client, CLIENT_GONE),
            Self::MethodNotAllowed => (405, "method_not_allowed", "Method not allowed", Client, METHOD),
            Self::AgentNotFound => (404, "agent_not_found", "No such agent", Client, NOT_FOUND),
            Self::AgentOffline { retry_after: None } => {
                (404, "agent_offline", "Agent offline", Agent, OFFLINE)
            }
            Self::AgentOffline { retry_after: Some(_) } => {
                (503, "agent_offline", "Agent offline", Agent, OFFLINE)
            }
            Self::BodyTooLarge => (413, "body_too_large", "Request body too large", Client, BODY),
            Self::UriTooLong => (414, "uri_too_long", "Request address too long", Client, URI),
            Self::HeadTooLarge => (431, "head_too_large", "Request headers too large", Client, HEAD),
            Self::Overloaded => (503, "overloaded", "Too busy", Gateway, OVERLOADED),
            Self::Draining => (503, "draining", "Shutting down", Gateway, DRAINING),
            Self::UpstreamRefused => (502, "upstream_refused", "Service unreachable", Service, REFUSED),
            Self::UpstreamBadResponse => {
                (502, "upstream_bad_response", "Bad response from the service", Service, BAD_RESPONSE)
            }
            Self::TunnelLost => (502, "tunnel_lost", "Tunnel lost", Agent, LOST),
            Self::ResponseTimeout => (504, "response_timeout", "No answer in time", Service, TIMEOUT),
            Self::Internal => (500, "internal", "Internal error", Gateway, INTERNAL),
        };
        let status = StatusCode::from_u16(status).expect("the table holds three-digit statuses");
        Explanation { status, code, title, side, detail }
    }

    /// The stable code of the `indranet-error` field, for programs and metrics.
    pub(crate) fn code(&self) -> &'static str {
        self.explanation().code
    }

    /// After which time a client should try again, where waiting helps.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::AgentOffline { retry_after } => *retry_after,
            Self::Overloaded => Some(Duration::from_secs(1)),
            Self::Draining => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

impl Side {
    /// One word for programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Agent => "agent",
            Self::Service => "service",
        }
    }
}

const BAD_HOST: &str =
    "The request must name exactly one valid host. Send one Host header such as <agent>.<domain>.";
const BAD_REQUEST: &str = "The request is not HTTP as RFC 9112 describes it. Check the program that sent it.";
const BAD_TARGET: &str = "The address in the request line is not a path or a URL. Percent-encode what is special in it.";
const EXPECTATION: &str = "The only expectation that can be met is 100-continue. Send the request without Expect.";
const VERSION: &str = "This gateway speaks HTTP/1.0, HTTP/1.1 and HTTP/2.";
const CLIENT_GONE: &str = "The request ended before its body was complete. Send it again.";
const BAD_FRAMING: &str = "The length of the request body is ambiguous. Send either Content-Length or \
    Transfer-Encoding: chunked, and only one of them.";
const METHOD: &str = "This method cannot go through the tunnel. Use another one.";
const NOT_FOUND: &str = "No agent is reachable under this host name. Check the spelling of the address; if the agent \
    is yours, check that it is connected under this id.";
const OFFLINE: &str = "The agent of this host name is not connected. Try again later; if it is yours, start it or see \
    its log.";
const BODY: &str = "The request body is larger than this gateway accepts. Send a smaller one.";
const URI: &str = "The address of the request is longer than this gateway accepts. Send a shorter one.";
const HEAD: &str = "The header fields of the request are more, or larger, than this gateway accepts. Send fewer; a \
    large cookie is the usual cause.";
const OVERLOADED: &str = "As many requests as allowed are already in progress. Try again in a moment.";
const DRAINING: &str = "This gateway is shutting down and takes no new requests. Try again in a moment.";
const REFUSED: &str = "The agent is connected, but cannot reach the service behind it. If the service is yours, start \
    it and check the address that the agent was given; the agent's log names the reason.";
const BAD_RESPONSE: &str = "The service behind the agent broke off or sent something that is not HTTP. If it is yours, \
    see its log; the agent's log names the reason.";
const LOST: &str = "The link to the agent broke before an answer came; the request may have been carried out all the \
    same. Try again if that does no harm.";
const TIMEOUT: &str = "The service behind the agent did not begin to answer in time. If it is yours, see what it is \
    busy with, or allow more time at the gateway.";
const INTERNAL: &str = "The gateway made a mistake. Its log has the reason under this request id.";

#[cfg(test)]
mod tests;
