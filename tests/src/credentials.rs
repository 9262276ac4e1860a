use std::time::{SystemTime, UNIX_EPOCH};

use ::agent::connect_request;
use proto::{AgentId, ConnectRequest, Credential, Secret, TokenId, auth};
use session::{AgentIdPattern, Credentials, Grant};
use uuid::Uuid;

/// The host that every agent dials.
const AUDIENCE: &str = "127.0.0.1";

/// The agent of most scenarios.
pub const AGENT: &str = "myapp";
/// Another agent.
pub const OTHER_AGENT: &str = "other";
/// An agent that has a credential and never connects.
pub const OFFLINE_AGENT: &str = "offline";
/// A secret that nobody's token has.
pub const WRONG_SECRET: Secret = Secret::from_bytes([0xee; Secret::LEN]);

/// The credential of an agent. Each of the agents above has one of its own.
pub fn credential(agent: &str) -> Credential {
    let mut secret = [0; Secret::LEN];
    secret[..agent.len()].copy_from_slice(agent.as_bytes());
    let token = TokenId::parse(&format!("itk_{agent}")).unwrap();
    Credential { token, secret: Secret::from_bytes(secret) }
}

/// What the credential of an agent stands for: its own id and no other.
pub fn grant(agent: &str) -> Grant {
    Grant::new(credential(agent).secret, vec![AgentIdPattern::Exactly(agent_id(agent))])
}

/// `text` as an agent id.
pub fn agent_id(text: &str) -> AgentId {
    AgentId::parse(text).unwrap()
}

/// The credentials of every agent above.
pub(crate) fn all() -> Credentials {
    [AGENT, OTHER_AGENT, OFFLINE_AGENT]
        .map(|agent| (credential(agent).token, grant(agent)))
        .into_iter()
        .collect()
}

/// A first frame that a gateway on loopback accepts from the agent called `name`. Each one can be used once.
pub fn introduction(name: &str) -> ConnectRequest {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let nonce: [u8; auth::NONCE_LEN] = Uuid::new_v4().into_bytes();
    let timestamp = i64::try_from(now).unwrap();
    connect_request::signed(&agent_id(name), &credential(name), AUDIENCE, Uuid::new_v4(), timestamp, nonce, 0)
}

/// The same first frame, signed anew after something in it was changed.
pub fn signed(mut request: ConnectRequest, credential: &Credential) -> ConnectRequest {
    let transcript = auth::connect_transcript(&request, AUDIENCE, b"");
    request.signature = auth::sign(&credential.secret, &transcript).to_vec().into();
    request
}
