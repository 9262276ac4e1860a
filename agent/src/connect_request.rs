//! The first frame of a link.

use proto::{AgentId, ChannelBinding, ConnectRequest, Credential, Feature, auth, limits};
use uuid::Uuid;

/// Makes the signed first frame of a link.
///
/// `audience` is the host that is dialled, in lower case and without port; `timestamp_ms` is milliseconds since the Unix
/// epoch; `max_concurrent` of 0 leaves the number of requests at a time to the gateway.
pub fn signed(
    agent_id: &AgentId,
    credential: &Credential,
    audience: &str,
    instance_id: Uuid,
    timestamp_ms: i64,
    nonce: [u8; auth::NONCE_LEN],
    max_concurrent: u32,
) -> ConnectRequest {
    let features =
        [Feature::Trailers, Feature::Upgrade, Feature::Informational, Feature::Drain, Feature::Health];
    let mut request = ConnectRequest {
        agent_id: agent_id.to_string(),
        token: credential.token.to_string(),
        timestamp: timestamp_ms,
        nonce: nonce.to_vec().into(),
        protocol_version: limits::PROTOCOL_VERSION,
        features: features.map(i32::from).to_vec(),
        initial_window: limits::INITIAL_WINDOW,
        max_concurrent,
        instance_id: instance_id.to_string(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        audience: audience.to_owned(),
        ..ConnectRequest::default()
    };
    let transcript = auth::connect_transcript(&request, audience, b"");
    request.signature = auth::sign(&credential.secret, &transcript).to_vec().into();
    request
}

/// What a signature says of the connection that it travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing.
    None,
    /// That it is this one, by a value that only its two ends know (RFC 9266).
    Tls([u8; auth::BINDING_LEN]),
    /// That it has TLS at this end, and that somebody said it has none at the other.
    Unseen,
}

impl Binding {
    /// The same first frame, bound.
    #[must_use]
    pub fn bind(&self, mut request: ConnectRequest, credential: &Credential) -> ConnectRequest {
        let (kind, value) = match self {
            Self::None => (ChannelBinding::None, &b""[..]),
            Self::Tls(value) => (ChannelBinding::TlsExporter, &value[..]),
            Self::Unseen => (ChannelBinding::Unseen, auth::UNSEEN),
        };
        request.set_channel_binding(kind);
        let transcript = auth::connect_transcript(&request, &request.audience, value);
        request.signature = auth::sign(&credential.secret, &transcript).to_vec().into();
        request
    }
}

#[cfg(test)]
mod tests;
