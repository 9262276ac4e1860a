//! The first frame of a link.

use proto::{AgentId, ConnectRequest, Credential, Feature, auth, limits};
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

#[cfg(test)]
mod tests;
