use std::{
    path::PathBuf,
    str::FromStr,
    time::{Duration, SystemTime},
};

use ::cli::{Failure, discreet, output};
use agent::connect_request;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proto::{AgentId, ConnectRequest, Feature, auth::NONCE_LEN};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    check::gateways,
    credential::{self, TokenText},
};

/// Flags of `sign`.
#[derive(Debug, clap::Args)]
pub(super) struct Sign {
    /// The agent id to claim
    #[arg(long, env = "INDRANET_ID")]
    id: AgentId,
    /// The gateway that the signature is for; only the host counts [default: http://127.0.0.1]
    #[arg(long, env = "INDRANET_GATEWAY", value_name = "URL", value_delimiter = ',')]
    gateway: Vec<String>,
    /// Milliseconds since the Unix epoch [default: now]
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    timestamp: Option<i64>,
    /// 32 hexadecimal digits that no earlier request had [default: random]
    #[arg(long, value_name = "HEX")]
    nonce: Option<Nonce>,
    /// As for `connect`
    #[arg(long, hide = true)]
    token: Option<TokenText>,
    /// File that holds the token, instead of the variable INDRANET_TOKEN
    #[arg(long, env = "INDRANET_TOKEN_FILE", value_name = "FILE", value_parser = discreet::file())]
    token_file: Option<PathBuf>,
}

impl Sign {
    /// Prints the frame on one line.
    pub(super) fn run(self) -> Result<(), Failure> {
        let request = self.request()?;
        output::line(&frame(&request).to_string()).map_err(Failure::runtime)
    }

    fn request(self) -> Result<ConnectRequest, Failure> {
        let gateways = gateways(&self.gateway).map_err(Failure::configuration)?;
        let audience = gateways.first().map_or("", |url| url.host.as_str());
        let token = credential::or_env(self.token, self.token_file.as_ref());
        let credential = credential::find(token, self.token_file).map_err(Failure::configuration)?;
        let timestamp = self.timestamp.unwrap_or_else(now);
        let Nonce(nonce) = self.nonce.map_or_else(Nonce::random, Ok)?;
        Ok(connect_request::signed(&self.id, &credential, audience, Uuid::new_v4(), timestamp, nonce, 0))
    }
}

/// Milliseconds since the Unix epoch. A clock before it gives 0, which no gateway takes.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// An `AgentFrame` in the JSON form of protocol buffers, as grpcurl takes it.
fn frame(request: &ConnectRequest) -> Value {
    let features: Vec<_> = request.features().map(|feature: Feature| feature.as_str_name()).collect();
    json!({ "connect": {
        "agentId": request.agent_id,
        "token": request.token,
        "timestamp": request.timestamp.to_string(),
        "nonce": STANDARD.encode(&request.nonce),
        "signature": STANDARD.encode(&request.signature),
        "protocolVersion": request.protocol_version,
        "features": features,
        "initialWindow": request.initial_window,
        "instanceId": request.instance_id,
        "agentVersion": request.agent_version,
        "audience": request.audience,
    }})
}

/// The number that is used once.
#[derive(Clone, Copy, Debug)]
struct Nonce([u8; NONCE_LEN]);

impl Nonce {
    fn random() -> Result<Self, Failure> {
        let mut bytes = [0; NONCE_LEN];
        getrandom::fill(&mut bytes).map_err(Failure::runtime)?;
        Ok(Self(bytes))
    }
}

/// A text that is not a nonce.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a nonce is 32 hexadecimal digits")]
struct InvalidNonce;

impl FromStr for Nonce {
    type Err = InvalidNonce;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 2 * NONCE_LEN || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidNonce);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| InvalidNonce)?;
        Ok(Self(number.to_be_bytes()))
    }
}
