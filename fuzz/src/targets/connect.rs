//! Who may be an agent: nobody but the holder of a token, and nobody twice with the same request.

use std::time::{Duration, Instant};

use bytes::Bytes;
use prost::Message as _;
use proto::{AgentFrame, AgentId, ConnectRequest, Secret, TokenId, agent_frame, auth, limits};
use session::{AgentIdPattern, Authenticator, Channel, Credentials, Grant, Rejection};

use crate::input::Input;

pub(super) const WORDS: &[&[u8]] = &[b"itk_a", b"itk_b", b"myapp", b"other", HOST.as_bytes(), &[0x12, 0x20]];

const CLOCK: i64 = 1_790_000_000_000;
const HOST: &str = "tunnel.example.com";

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.choice(3) {
        0 => stranger(input.rest()),
        1 => tampered(&mut input),
        _ => agent(&mut input),
    }
}

fn secret() -> Secret {
    Secret::from_bytes([7; Secret::LEN])
}

fn authenticator() -> Authenticator {
    let named = vec![AgentIdPattern::Exactly(AgentId::parse("myapp").unwrap())];
    let grants =
        [("itk_a", secret(), named), ("itk_b", Secret::from_bytes([8; 32]), vec![AgentIdPattern::Any])];
    let credentials: Credentials = grants
        .into_iter()
        .map(|(token, secret, agent_ids)| (TokenId::parse(token).unwrap(), Grant::new(secret, agent_ids)))
        .collect();
    Authenticator::new(credentials, Vec::new(), Instant::now())
}

/// When the gateway has run for as long as a time stamp may be old.
fn much_later() -> Instant {
    Instant::now() + 2 * limits::CLOCK_SKEW
}

fn decoded(frame: &[u8]) -> Option<ConnectRequest> {
    match AgentFrame::decode(frame).ok()?.frame? {
        agent_frame::Frame::Connect(request) => Some(request),
        _ => None,
    }
}

/// Whoever has no key is refused, whatever is sent.
fn stranger(frame: &[u8]) {
    let Some(request) = decoded(frame) else { return };
    let Err(rejection) = authenticator().verify(request, HOST, &Channel::plain(), CLOCK, much_later()) else {
        panic!("accepted without a signature");
    };
    let told = rejection.to_wire();
    assert!(
        matches!(rejection, Rejection::Malformed(_) | Rejection::Unauthenticated) && told.server_time == 0,
        "a stranger learned {rejection:?}"
    );
}

/// What somebody on the way has changed is refused, unless the signature does not cover it.
fn tampered(input: &mut Input<'_>) {
    let original = signed(request());
    let mut frame = AgentFrame::from(original.clone()).encode_to_vec();
    for _ in 0..=input.choice(4) {
        let at = usize::from(input.u16()) % frame.len();
        match input.choice(3) {
            0 => frame[at] ^= input.byte(),
            1 => drop(frame.drain(at..(at + input.choice(8)).min(frame.len() - 1).max(at))),
            _ => drop(frame.splice(at..at, input.bytes(32).iter().copied())),
        }
    }
    let Some(request) = decoded(&frame) else { return };
    let accepted =
        authenticator().verify(request.clone(), HOST, &Channel::plain(), CLOCK, much_later()).is_ok();
    if accepted {
        assert_eq!(covered(&request), covered(&original), "a request was changed and accepted");
    }
}

/// All that a signature covers, and the signature.
fn covered(request: &ConnectRequest) -> ConnectRequest {
    let mut request = request.clone();
    request.features.sort_unstable();
    if request.audience.is_empty() {
        HOST.clone_into(&mut request.audience);
    }
    ConnectRequest {
        agent_id: request.agent_id,
        token: request.token,
        timestamp: request.timestamp,
        nonce: request.nonce,
        protocol_version: request.protocol_version,
        features: request.features,
        initial_window: request.initial_window,
        instance_id: request.instance_id,
        audience: request.audience,
        signature: request.signature,
        ..ConnectRequest::default()
    }
}

/// A holder of a key is accepted once, if the clocks agree and the token says so.
fn agent(input: &mut Input<'_>) {
    let skew = i64::from(input.u32().cast_signed());
    let nonce_len = input.choice(80);
    let agent_id =
        if input.flag() { "myapp".to_owned() } else { String::from_utf8_lossy(input.bytes(70)).into_owned() };
    let request = signed(ConnectRequest {
        agent_id: agent_id.clone(),
        timestamp: CLOCK.saturating_add(skew),
        nonce: Bytes::from(vec![1; nonce_len]),
        protocol_version: u32::from(input.byte() & 3),
        features: (0..input.choice(5)).map(|_| i32::from(input.byte())).collect(),
        initial_window: input.u32(),
        instance_id: String::from_utf8_lossy(input.bytes(80)).into_owned(),
        labels: (0..input.choice(20)).map(|label| (label.to_string(), String::new())).collect(),
        ..request()
    });
    let (authenticator, channel) = (authenticator(), Channel::plain());
    let now = much_later();
    let verified = authenticator.verify(request.clone(), HOST, &channel, CLOCK, now).map(|_| ());
    let well_formed = (auth::NONCE_LEN..=64).contains(&nonce_len)
        && request.labels.len() <= limits::MAX_LABELS
        && request.instance_id.len() <= 64
        && AgentId::parse(&agent_id).is_ok();
    let in_time = u128::from(skew.unsigned_abs()) <= limits::CLOCK_SKEW.as_millis();
    let expected = match () {
        () if !well_formed => {
            return assert!(matches!(verified, Err(Rejection::Malformed(_))), "{verified:?}");
        }
        () if !in_time => {
            return assert!(matches!(verified, Err(Rejection::ClockSkew(_))), "{verified:?}");
        }
        () if request.protocol_version == 0 => Err(Rejection::Version),
        () if agent_id != "myapp" => Err(Rejection::AgentIdNotAllowed),
        () => Ok(()),
    };
    assert_eq!(verified, expected);
    if verified.is_ok() {
        // For as long as its time stamp is good.
        let later = now + Duration::from_millis(u64::from(input.u32()) % 120_000);
        let again = authenticator.verify(request, HOST, &channel, CLOCK, later).map(|_| ());
        assert_eq!(again, Err(Rejection::Replayed));
    }
}

fn request() -> ConnectRequest {
    ConnectRequest {
        agent_id: "myapp".into(),
        token: "itk_a".into(),
        timestamp: CLOCK,
        nonce: Bytes::from_static(&[1; 16]),
        protocol_version: 1,
        features: vec![1, 2, 3],
        initial_window: 65_536,
        instance_id: "one".into(),
        ..ConnectRequest::default()
    }
}

fn signed(mut request: ConnectRequest) -> ConnectRequest {
    let transcript = auth::connect_transcript(&request, HOST, b"");
    request.signature = auth::sign(&secret(), &transcript).to_vec().into();
    request
}
