use std::fmt;

/// What happened, and what whoever reads it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    /// What happened.
    pub(crate) happened: &'static str,
    /// What to do.
    pub(crate) advice: &'static str,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.happened, self.advice)
    }
}

pub(super) const BAD_HOST: Text = Text {
    happened: "The request must name exactly one valid host.",
    advice: "Send one Host header such as <agent>.<domain>.",
};
pub(super) const BAD_REQUEST: Text = Text {
    happened: "The request is not HTTP as RFC 9112 describes it.",
    advice: "Check the program that sent it.",
};
pub(super) const BAD_TARGET: Text = Text {
    happened: "The address in the request line is not a path or a URL.",
    advice: "Percent-encode what is special in it.",
};
pub(super) const EXPECTATION: Text = Text {
    happened: "The only expectation that can be met is 100-continue.",
    advice: "Send the request without Expect.",
};
pub(super) const VERSION: Text = Text {
    happened: "The request is in a version of HTTP that nobody here speaks.",
    advice: "Use version 1.0, 1.1 or 2.",
};
pub(super) const CLIENT_GONE: Text =
    Text { happened: "The request ended before its body was complete.", advice: "Send it again." };
pub(super) const BAD_FRAMING: Text = Text {
    happened: "The length of the request body is ambiguous.",
    advice: "Send either Content-Length or Transfer-Encoding: chunked, and only one of them.",
};
pub(super) const METHOD: Text =
    Text { happened: "This method cannot go through the tunnel.", advice: "Use another one." };
pub(super) const MISDIRECTED: Text = Text {
    happened: "The connection was set up for another host than the one that is asked for.",
    advice: "Ask again on a connection of its own, as browsers do by themselves.",
};
pub(super) const NOT_FOUND: Text = Text {
    happened: "No agent is reachable under this host name.",
    advice: "Check the spelling of the address; if the agent is yours, check that it is connected under this id.",
};
pub(super) const OFFLINE: Text = Text {
    happened: "The agent of this host name is not connected.",
    advice: "Try again later; if it is yours, start it or see its log.",
};
pub(super) const ACME: Text = Text {
    happened: "An authority for certificates looked whether this host name leads here.",
    advice: "There is nothing to do.",
};
pub(super) const UNHEALTHY: Text = Text {
    happened: "The service behind this host name fails its health check.",
    advice: "Try again later; if it is yours, see the log of its agent.",
};
pub(super) const HTTPS_ONLY: Text = Text {
    happened: "This address is served over https only.",
    advice: "Ask again at the address in the Location header.",
};
pub(super) const UNAUTHORIZED: Text = Text {
    happened: "This address asks for a name and a password, and what came with the request is not right.",
    advice: "Sign in with HTTP Basic authentication; whoever runs the gateway knows the users.",
};
pub(super) const FORBIDDEN: Text = Text {
    happened: "This address may not be asked from where the request comes from.",
    advice: "Use a network that is allowed, or ask whoever runs the gateway to allow yours.",
};
pub(super) const RATE: Text = Text {
    happened: "More requests came than are allowed in that time.",
    advice: "Wait for the time that the Retry-After header names, then go on more slowly.",
};
pub(super) const LOOP: Text = Text {
    happened: "The request came through more gateways than there can be on its way.",
    advice: "If the service is yours, check that it does not lead back to the tunnel's public address.",
};
pub(super) const BODY: Text =
    Text { happened: "The request body is larger than this gateway accepts.", advice: "Send a smaller one." };
pub(super) const URI: Text = Text {
    happened: "The address of the request is longer than this gateway accepts.",
    advice: "Send a shorter one.",
};
pub(super) const HEAD: Text = Text {
    happened: "The header fields of the request are more, or larger, than this gateway accepts.",
    advice: "Send fewer; a large cookie is the usual cause.",
};
pub(super) const OVERLOADED: Text = Text {
    happened: "As many requests as allowed are already in progress.",
    advice: "Try again in a moment.",
};
pub(super) const DRAINING: Text = Text {
    happened: "This gateway is shutting down and takes no new requests.",
    advice: "Try again in a moment.",
};
pub(super) const REFUSED: Text = Text {
    happened: "The agent is connected, but cannot reach the service behind it.",
    advice: "If the service is yours, start it and check the address that the agent was given; the agent's log names \
        the reason.",
};
pub(super) const BAD_RESPONSE: Text = Text {
    happened: "The service behind the agent broke off or sent something that is not HTTP.",
    advice: "If it is yours, see its log; the agent's log names the reason.",
};
pub(super) const LOST: Text = Text {
    happened: "The link to the agent broke before an answer came; the request may have been carried out all the same.",
    advice: "Try again if that does no harm.",
};
pub(super) const TIMEOUT: Text = Text {
    happened: "The service behind the agent did not begin to answer in time.",
    advice: "If it is yours, see what it is busy with, or allow more time at the gateway.",
};
