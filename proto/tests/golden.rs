//! Vectors that an implementation in another language can copy: see `docs/protocol.md`, "The signature".

use proto::{ConnectRequest, Feature, Secret, auth};

fn secret() -> Secret {
    Secret::from_bytes(std::array::from_fn(|i| i as u8))
}

fn request() -> ConnectRequest {
    ConnectRequest {
        agent_id: "myapp".into(),
        token: "itk_k3v9".into(),
        timestamp: 1_790_000_000_123,
        nonce: (0xa0..0xb0).collect::<Vec<u8>>().into(),
        protocol_version: 1,
        features: vec![Feature::Drain.into(), Feature::Trailers.into()],
        initial_window: 65_536,
        instance_id: "0f8fad5b-d9cb-469f-a165-70867728950e".into(),
        ..ConnectRequest::default()
    }
}

const CONNECT_TRANSCRIPT: &str = "\
    696e6472616e65742f76312f636f6e6e656374000000001274756e6e656c2e6578616d706c652e636f6d000000056d796170\
    700000000869746b5f6b337639000001a0c4506c7b00000010a0a1a2a3a4a5a6a7a8a9aaabacadaeaf000000010000000800\
    00000100000004000100000000002430663866616435622d643963622d343639662d613136352d3730383637373238393530\
    6500000000";
const CONNECT_SIGNATURE: &str = "85fca6d3df5f64045d20206380b248ad4222794a39ca2bce5524235fd1cec889";
const ACCEPT_TRANSCRIPT: &str = "\
    696e6472616e65742f76312f6163636570740000000010a0a1a2a3a4a5a6a7a8a9aaabacadaeaf0000002437633965363637\
    392d373432352d343064652d393434622d6530376663316639306165370000000467772d31";
const ACCEPT_SIGNATURE: &str = "6265dbb1e14e7cf44e748f77696267d9af8f017c3566d617639e34b13a889a84";

const SKEW_TRANSCRIPT: &str = "\
    696e6472616e65742f76312f736b65770000000010a0a1a2a3a4a5a6a7a8a9aaabacadaeaf000001a0c4506c7b";
const SKEW_SIGNATURE: &str = "6f5f3fcf19198b96b8121085f5152d2fdb460a08590c45e5aa7bb4188cbb1fea";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn connect_vector() {
    let transcript = auth::connect_transcript(&request(), "tunnel.example.com", b"");
    assert_eq!(hex(&transcript), CONNECT_TRANSCRIPT);
    assert_eq!(hex(&auth::sign(&secret(), &transcript)), CONNECT_SIGNATURE);
}

#[test]
fn accept_vector() {
    let nonce = request().nonce;
    let transcript = auth::accept_transcript(&nonce, "7c9e6679-7425-40de-944b-e07fc1f90ae7", "gw-1");
    assert_eq!(hex(&transcript), ACCEPT_TRANSCRIPT);
    assert_eq!(hex(&auth::sign(&secret(), &transcript)), ACCEPT_SIGNATURE);
}

#[test]
fn skew_vector() {
    let transcript = auth::skew_transcript(&request().nonce, request().timestamp);
    assert_eq!(hex(&transcript), SKEW_TRANSCRIPT);
    assert_eq!(hex(&auth::sign(&secret(), &transcript)), SKEW_SIGNATURE);
}

#[test]
fn only_the_whole_right_signature_verifies() {
    let transcript = auth::connect_transcript(&request(), "tunnel.example.com", b"");
    let signature = auth::sign(&secret(), &transcript);
    assert_eq!(auth::verify(&secret(), &transcript, &signature), Ok(()));
    for wrong in [&signature[..31], &[], &[signature.as_slice(), &[0]].concat(), &[0; 32]] {
        assert_eq!(auth::verify(&secret(), &transcript, wrong), Err(auth::BadSignature));
    }
    let other = Secret::from_bytes([9; 32]);
    assert_eq!(auth::verify(&other, &transcript, &signature), Err(auth::BadSignature));
}

#[test]
fn every_signed_field_changes_the_transcript() {
    let base = auth::connect_transcript(&request(), "a", b"");
    let changes: [fn(&mut ConnectRequest); 8] = [
        |r| r.agent_id.push('x'),
        |r| r.token.push('x'),
        |r| r.timestamp += 1,
        |r| r.nonce = vec![0; 16].into(),
        |r| r.protocol_version += 1,
        |r| r.features.push(Feature::Upgrade.into()),
        |r| r.initial_window += 1,
        |r| r.instance_id.push('x'),
    ];
    for change in changes {
        let mut changed = request();
        change(&mut changed);
        assert_ne!(auth::connect_transcript(&changed, "a", b""), base);
    }
    assert_ne!(auth::connect_transcript(&request(), "b", b""), base);
    assert_ne!(auth::connect_transcript(&request(), "a", b"b"), base);
}

#[test]
fn neighbouring_fields_do_not_run_together() {
    let split = |agent_id: &str, token: &str| {
        let request = ConnectRequest { agent_id: agent_id.into(), token: token.into(), ..request() };
        auth::connect_transcript(&request, "", b"")
    };
    assert_ne!(split("ab", "1"), split("a", "b1"));
}
