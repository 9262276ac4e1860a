//! From the agent's head to the client's.

use bytes::Bytes;
use http::StatusCode;
use proto::Fields;
use session::{Exchange, ResponseHead};
use uuid::Uuid;

use super::download::{Download, Expected};
use crate::{edge::Policy, metrics::Observation};

/// The head of what a client gets, whichever version of HTTP it speaks.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    pub(crate) status: StatusCode,
    pub(crate) reason: Option<Bytes>,
    /// End-to-end fields but `content-length`.
    pub(crate) fields: Fields,
    /// The declared length of the body, also of one that is left out.
    pub(crate) content_length: Option<u64>,
}

/// The service's answer.
#[derive(Debug)]
pub(crate) struct Relayed {
    pub(crate) head: AnswerHead,
    pub(crate) download: Download,
    /// The protocol that both directions speak from here on, if it is no longer HTTP.
    pub(crate) protocol: Option<Bytes>,
}

/// The gateway's own answer.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) head: AnswerHead,
    /// Empty if the method was HEAD.
    pub(crate) body: Bytes,
}

impl Relayed {
    /// Passes an agent's answer on.
    pub(crate) fn new(
        id: Uuid,
        is_head: bool,
        head: ResponseHead,
        exchange: Exchange,
        observation: Observation,
        policy: Option<&Policy>,
    ) -> Self {
        let ResponseHead { status, message, reason, upgrade: protocol, .. } = head;
        let mut fields = message.fields;
        if let Some(policy) = policy {
            policy.on_response(&mut fields);
        }
        strip_own(&mut fields);
        fields.push("x-request-id", proto::id_text(id));
        let bodiless = is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let has_length = status != StatusCode::NO_CONTENT && protocol.is_none();
        let content_length = message.content_length.filter(|_| has_length);
        let expected = match content_length {
            _ if bodiless => Expected::Nothing,
            Some(length) => Expected::Exactly(length),
            None => Expected::Anything,
        };
        let download = Download::new(exchange, expected, observation);
        Self { head: AnswerHead { status, reason, fields, content_length }, download, protocol }
    }
}

/// Nobody but the gateway speaks for the gateway, in no head at all.
pub(super) fn strip_own(fields: &mut Fields) {
    fields.retain(|field| field.name != b"indranet-error"[..] && field.name != b"x-request-id"[..]);
}
