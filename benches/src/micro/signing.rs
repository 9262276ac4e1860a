//! What connecting costs in signatures.

use std::hint::black_box;

use bytes::Bytes;
use proto::{
    ConnectRequest, Secret,
    auth::{NONCE_LEN, connect_transcript, sign, verify},
    limits,
};

use super::{
    messages::id,
    operation::{Doing, Operation},
};

const AUDIENCE: &str = "gateway.example.com";
const BINDING: [u8; 32] = [7; 32];

pub(super) const OPERATIONS: [Operation; 2] =
    [Operation::new("auth/sign", sign_request), Operation::new("auth/verify", verify_request)];

fn sign_request() -> Doing {
    let (secret, request) = (secret(), request());
    Box::new(move || {
        black_box(sign(&secret, &connect_transcript(&request, AUDIENCE, &BINDING)));
    })
}

fn verify_request() -> Doing {
    let (secret, request) = (secret(), request());
    let signature = sign(&secret, &connect_transcript(&request, AUDIENCE, &BINDING));
    Box::new(move || {
        let transcript = connect_transcript(&request, AUDIENCE, &BINDING);
        verify(&secret, &transcript, black_box(&signature)).expect("the signature is right");
    })
}

fn secret() -> Secret {
    Secret::from_bytes([42; Secret::LEN])
}

fn request() -> ConnectRequest {
    ConnectRequest {
        agent_id: "myapp".to_owned(),
        token: "itk_k3v9".to_owned(),
        timestamp: 1_795_000_000_000,
        nonce: Bytes::from_static(&[9; NONCE_LEN]),
        protocol_version: limits::PROTOCOL_VERSION,
        features: vec![1, 2],
        initial_window: limits::INITIAL_WINDOW,
        instance_id: id(1).to_string(),
        ..ConnectRequest::default()
    }
}
