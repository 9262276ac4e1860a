//! Every answer that the gateway makes itself: why, whose side is at fault, and what to do about it.

mod asked;
mod format;
mod render;
mod respond;
mod texts;

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::edge;

pub(crate) use asked::Asked;
pub use respond::Pages;
pub(crate) use respond::respond;
pub(crate) use texts::Text;

/// Why a request is answered by the gateway instead of by the service behind an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
    /// The connection was set up for another host.
    #[error("asked for another host than TLS was set up for")]
    Misdirected,
    /// Nobody has this host name, or it is not for the outside to know.
    #[error("no such agent")]
    AgentNotFound,
    /// The agent is known and not connected.
    #[error("the agent is not connected")]
    AgentOffline {
        /// When to try again; `None` hides that the agent is known, behind a 404.
        retry_after: Option<Duration>,
    },
    /// The agent is connected and says that its service cannot be asked.
    #[error("the agent's service fails its health check")]
    AgentUnhealthy,
    /// The agent is served over https only, and the client asked on plain HTTP. No error, but an answer of the gateway's own.
    #[error("asked on plain HTTP for what is served over https only")]
    HttpsOnly {
        /// The same resource over https.
        location: Bytes,
    },
    /// An authority for certificates looks whether a name leads here. No error either.
    #[error("an authority looked whether this name leads here")]
    AcmeChallenge {
        /// What shows it.
        answer: Bytes,
    },
    /// No user's name and password, where one is needed.
    #[error("no valid name and password")]
    Unauthorized,
    /// The client's address is not among those that may ask.
    #[error("the client's address may not ask this agent")]
    Forbidden,
    /// More requests, or wrong passwords, than may come in that time.
    #[error("too many requests in a short time")]
    RateLimited {
        /// When the next one may come.
        retry_after: Duration,
    },
    /// The request went through this gateway again and again.
    #[error("the request goes round in circles")]
    LoopDetected,
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
    pub(crate) text: Text,
}

impl IngressError {
    /// Everything a client is told.
    pub(crate) fn explanation(&self) -> Explanation {
        use Side::{Agent, Client, Gateway, Service};
        let (status, code, title, side, text) = match self {
            Self::BadHost => (400, "bad_host", "Bad host", Client, texts::BAD_HOST),
            Self::BadRequest => (400, "bad_request", "Malformed request", Client, texts::BAD_REQUEST),
            Self::BadTarget => (400, "bad_target", "Malformed address", Client, texts::BAD_TARGET),
            Self::ExpectationFailed => {
                (417, "expectation_failed", "Expectation failed", Client, texts::EXPECTATION)
            }
            Self::UnsupportedVersion => {
                (400, "unsupported_version", "Unsupported version", Client, texts::VERSION)
            }
            Self::BadFraming => (400, "bad_framing", "Ambiguous request body", Client, texts::BAD_FRAMING),
            Self::ClientGone => (400, "client_cancelled", "Request broken off", Client, texts::CLIENT_GONE),
            Self::MethodNotAllowed => {
                (405, "method_not_allowed", "Method not allowed", Client, texts::METHOD)
            }
            Self::Misdirected => (421, "misdirected_request", "Wrong connection", Client, texts::MISDIRECTED),
            Self::AgentNotFound => (404, "agent_not_found", "Nothing here", Client, texts::NOT_FOUND),
            Self::AgentOffline { retry_after: None } => {
                (404, "agent_offline", "Agent offline", Agent, texts::OFFLINE)
            }
            Self::AgentOffline { retry_after: Some(_) } => {
                (503, "agent_offline", "Agent offline", Agent, texts::OFFLINE)
            }
            Self::AgentUnhealthy => {
                (503, "agent_unhealthy", "Service out of order", Service, texts::UNHEALTHY)
            }
            Self::HttpsOnly { .. } => (308, "https_only", "Moved to https", Client, texts::HTTPS_ONLY),
            Self::AcmeChallenge { .. } => (200, "acme_challenge", "Found", Client, texts::ACME),
            Self::Unauthorized => (401, "unauthorized", "Sign in first", Client, texts::UNAUTHORIZED),
            Self::Forbidden => (403, "forbidden", "Not from your address", Client, texts::FORBIDDEN),
            Self::RateLimited { .. } => (429, "rate_limited", "Too many requests", Client, texts::RATE),
            Self::LoopDetected => (508, "loop_detected", "Going in circles", Service, texts::LOOP),
            Self::BodyTooLarge => (413, "body_too_large", "Request body too large", Client, texts::BODY),
            Self::UriTooLong => (414, "uri_too_long", "Request address too long", Client, texts::URI),
            Self::HeadTooLarge => (431, "head_too_large", "Request headers too large", Client, texts::HEAD),
            Self::Overloaded => (503, "overloaded", "Too busy", Gateway, texts::OVERLOADED),
            Self::Draining => (503, "draining", "Shutting down", Gateway, texts::DRAINING),
            Self::UpstreamRefused => {
                (502, "upstream_refused", "Service unreachable", Service, texts::REFUSED)
            }
            Self::UpstreamBadResponse => {
                (502, "upstream_bad_response", "Bad response from the service", Service, texts::BAD_RESPONSE)
            }
            Self::TunnelLost => (502, "tunnel_lost", "Tunnel lost", Agent, texts::LOST),
            Self::ResponseTimeout => (504, "response_timeout", "No answer in time", Service, texts::TIMEOUT),
        };
        let status = StatusCode::from_u16(status).expect("the table holds three-digit statuses");
        Explanation { status, code, title, side, text }
    }

    /// The stable code of the `indranet-error` field, for programs and metrics.
    pub(crate) fn code(&self) -> &'static str {
        self.explanation().code
    }

    /// After which time a client should try again, where waiting helps.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::AgentOffline { retry_after } => *retry_after,
            Self::RateLimited { retry_after } => Some(*retry_after),
            Self::AgentUnhealthy => Some(Duration::from_secs(5)),
            Self::Overloaded => Some(Duration::from_secs(1)),
            Self::Draining => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

impl From<edge::TooLarge> for IngressError {
    fn from(_: edge::TooLarge) -> Self {
        Self::BodyTooLarge
    }
}

impl From<edge::Loop> for IngressError {
    fn from(_: edge::Loop) -> Self {
        Self::LoopDetected
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

    /// A few words for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Client => "the request",
            Self::Gateway => "this gateway",
            Self::Agent => "the agent, or its link to this gateway",
            Self::Service => "the service behind the agent",
        }
    }
}

#[cfg(test)]
mod tests;
