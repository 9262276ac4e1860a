use bytes::Buf as _;
use proto::Secret;

use super::*;

fn credential(key: u8) -> Credential {
    format!("itk_a_{}", *Secret::from_bytes([key; 32]).reveal()).parse().unwrap()
}

fn request() -> ConnectRequest {
    signed(
        &AgentId::parse("myapp").unwrap(),
        &credential(7),
        "gw.example.com",
        Uuid::nil(),
        1_790_000_000_000,
        [9; 16],
        5,
    )
}

fn verifies(request: &ConnectRequest, audience: &str, key: u8) -> bool {
    let transcript = auth::connect_transcript(request, audience, b"");
    auth::verify(&credential(key).secret, &transcript, &request.signature).is_ok()
}

#[test]
fn the_signature_holds_for_the_audience_that_was_dialled() {
    let request = request();
    assert_eq!(request.audience, "gw.example.com");
    assert!(verifies(&request, &request.audience, 7));
    assert!(!verifies(&request, "evil.example.com", 7));
    assert!(!verifies(&request, &request.audience, 8));
}

#[test]
fn the_secret_does_not_travel() {
    let mut batch = proto::codec::Batch::default();
    batch.push_message(&proto::AgentFrame::from(request()));
    let mut pieces = batch.take();
    let bytes = pieces.copy_to_bytes(pieces.remaining());
    assert!(!bytes.windows(Secret::LEN).any(|window| window == [7; Secret::LEN]));
    assert!(!String::from_utf8_lossy(&bytes).contains(credential(7).secret.reveal().as_str()));
}

#[test]
fn what_is_negotiated_is_what_this_agent_can_do() {
    let request = request();
    assert_eq!(request.protocol_version, limits::PROTOCOL_VERSION);
    assert_eq!(request.initial_window, limits::INITIAL_WINDOW);
    assert_eq!(request.max_concurrent, 5);
    let features: Vec<_> = request.features().collect();
    let all = [Feature::Trailers, Feature::Upgrade, Feature::Informational, Feature::Drain, Feature::Health];
    assert_eq!(features, all);
}
