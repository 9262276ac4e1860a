//! Signing and verifying: HMAC-SHA256 (RFC 2104) over a transcript in which every variable part carries its length.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{ConnectRequest, Secret};

/// Length of a nonce in bytes.
pub const NONCE_LEN: usize = 16;
/// Length of a signature in bytes.
pub const SIGNATURE_LEN: usize = 32;

/// What the value that binds a signature to a TLS connection is exported under (RFC 9266), without a context.
pub const BINDING_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
/// Length of that value in bytes.
pub const BINDING_LEN: usize = 32;
/// What is signed in its place by an agent that speaks TLS and was told that the gateway sees none.
pub const UNSEEN: &[u8] = b"unseen";

const CONNECT_DOMAIN: &[u8] = b"indranet/v1/connect\0";
const ACCEPT_DOMAIN: &[u8] = b"indranet/v1/accept\0";
const SKEW_DOMAIN: &[u8] = b"indranet/v1/skew\0";

/// A signature that the secret does not give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match")]
pub struct BadSignature;

/// What an agent signs. `audience` is the host it dialled, in lower case and without port; `channel_binding` is the TLS
/// exporter value (RFC 9266), or empty.
pub fn connect_transcript(request: &ConnectRequest, audience: &str, channel_binding: &[u8]) -> Vec<u8> {
    let mut features = request.features.clone();
    features.sort_unstable();
    let features: Vec<u8> = features.into_iter().flat_map(i32::to_be_bytes).collect();

    let mut transcript = CONNECT_DOMAIN.to_vec();
    push(&mut transcript, audience.as_bytes());
    push(&mut transcript, request.agent_id.as_bytes());
    push(&mut transcript, request.token.as_bytes());
    transcript.extend_from_slice(&request.timestamp.to_be_bytes());
    push(&mut transcript, &request.nonce);
    transcript.extend_from_slice(&request.protocol_version.to_be_bytes());
    push(&mut transcript, &features);
    transcript.extend_from_slice(&request.initial_window.to_be_bytes());
    push(&mut transcript, request.instance_id.as_bytes());
    push(&mut transcript, channel_binding);
    transcript
}

/// What the gateway signs, so that an agent behind an intercepting proxy notices a gateway without its secret.
pub fn accept_transcript(nonce: &[u8], session_id: &str, gateway_id: &str) -> Vec<u8> {
    let mut transcript = ACCEPT_DOMAIN.to_vec();
    push(&mut transcript, nonce);
    push(&mut transcript, session_id.as_bytes());
    push(&mut transcript, gateway_id.as_bytes());
    transcript
}

/// What the gateway signs when it tells an agent the time: only who knows the secret may turn an agent's clock.
pub fn skew_transcript(nonce: &[u8], server_time: i64) -> Vec<u8> {
    let mut transcript = SKEW_DOMAIN.to_vec();
    push(&mut transcript, nonce);
    transcript.extend_from_slice(&server_time.to_be_bytes());
    transcript
}

/// The HMAC-SHA256 of a transcript.
pub fn sign(secret: &Secret, transcript: &[u8]) -> [u8; SIGNATURE_LEN] {
    keyed(secret, transcript).finalize().into_bytes().into()
}

/// Compares in constant time, and only ever the whole signature.
///
/// # Errors
/// [`BadSignature`] for anything but the full, right signature.
pub fn verify(secret: &Secret, transcript: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    keyed(secret, transcript).verify_slice(signature).map_err(|_| BadSignature)
}

fn keyed(secret: &Secret, transcript: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(transcript);
    mac
}

/// Appends `bytes` behind their length as a big-endian u32, so that "ab"+"1" and "a"+"b1" differ.
fn push(transcript: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a frame is far smaller than 4 GiB");
    transcript.extend_from_slice(&length.to_be_bytes());
    transcript.extend_from_slice(bytes);
}
