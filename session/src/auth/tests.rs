use super::*;
use crate::credentials::{AgentIdPattern, Grant};

const CLOCK: i64 = 1_790_000_000_000;
const HOST: &str = "tunnel.example.com";

fn secret() -> Secret {
    Secret::from_bytes([7; 32])
}

fn authenticator(audiences: &[&str]) -> Authenticator {
    let agent_ids = vec![AgentIdPattern::Exactly(AgentId::parse("myapp").unwrap())];
    let grant = Grant { secret: secret(), agent_ids };
    let credentials = [(TokenId::parse("itk_a").unwrap(), grant)].into_iter().collect();
    Authenticator::new(credentials, audiences.iter().map(|name| (*name).to_owned()).collect())
}

fn request() -> ConnectRequest {
    ConnectRequest {
        agent_id: "myapp".into(),
        token: "itk_a".into(),
        timestamp: CLOCK,
        nonce: vec![1; 16].into(),
        protocol_version: 1,
        ..ConnectRequest::default()
    }
}

fn signed(mut request: ConnectRequest, secret: &Secret, audience: &str) -> ConnectRequest {
    let transcript = auth::connect_transcript(&request, audience, b"");
    request.signature = auth::sign(secret, &transcript).to_vec().into();
    request
}

/// Signs what `kind` of binding says of `value`, and has it checked by a gateway that knows `channel`.
fn bound(kind: ChannelBinding, value: &[u8], channel: &Channel) -> Result<Authenticated, Rejection> {
    let mut request = ConnectRequest { channel_binding: kind.into(), ..request() };
    let transcript = auth::connect_transcript(&request, HOST, value);
    request.signature = auth::sign(&secret(), &transcript).to_vec().into();
    authenticator(&[]).verify(request, HOST, channel, CLOCK, Instant::now())
}

fn verify(authenticator: &Authenticator, request: ConnectRequest) -> Result<Authenticated, Rejection> {
    authenticator.verify(request, HOST, &Channel::plain(), CLOCK, Instant::now())
}

#[test]
fn a_signed_request_is_accepted_once() {
    let authenticator = authenticator(&[]);
    let request = signed(request(), &secret(), HOST);
    assert_eq!(verify(&authenticator, request.clone()).unwrap().agent_id.as_str(), "myapp");
    assert_eq!(verify(&authenticator, request).unwrap_err(), Rejection::Replayed);
}

#[test]
fn strangers_learn_nothing() {
    let authenticator = authenticator(&[]);
    let wrong_secret = signed(request(), &Secret::from_bytes([8; 32]), HOST);
    let unknown_token = signed(ConnectRequest { token: "itk_b".into(), ..request() }, &secret(), HOST);
    let no_token = signed(ConnectRequest { token: String::new(), ..request() }, &secret(), HOST);
    let stale = signed(ConnectRequest { timestamp: 0, ..request() }, &Secret::from_bytes([8; 32]), HOST);
    let truncated = {
        let mut request = signed(request(), &secret(), HOST);
        request.signature.truncate(31);
        request
    };
    let tampered = ConnectRequest { timestamp: CLOCK + 1, ..signed(request(), &secret(), HOST) };
    let elsewhere = signed(request(), &secret(), "other.example.com");
    for request in [wrong_secret, unknown_token, no_token, stale, truncated, tampered, elsewhere] {
        let refused = verify(&authenticator, request.clone());
        assert_eq!(refused.unwrap_err(), Rejection::Unauthenticated, "{request:?}");
    }
}

#[test]
fn a_good_signature_earns_a_precise_answer() {
    let authenticator = authenticator(&[]);
    for (request, why) in [
        (ConnectRequest { timestamp: CLOCK - 60_001, ..request() }, Rejection::ClockSkew),
        (ConnectRequest { timestamp: CLOCK + 60_001, ..request() }, Rejection::ClockSkew),
        (ConnectRequest { timestamp: i64::MIN, ..request() }, Rejection::ClockSkew),
        (ConnectRequest { agent_id: "other".into(), ..request() }, Rejection::AgentIdNotAllowed),
        (ConnectRequest { protocol_version: 0, ..request() }, Rejection::Version),
    ] {
        let refused = verify(&authenticator, signed(request, &secret(), HOST));
        assert_eq!(refused.unwrap_err(), why);
    }
    let edge = ConnectRequest { timestamp: CLOCK - 60_000, ..request() };
    assert!(verify(&authenticator, signed(edge, &secret(), HOST)).is_ok());
}

#[test]
fn malformed_requests_are_refused_before_anything_else() {
    let authenticator = authenticator(&[]);
    for request in [
        ConnectRequest { nonce: vec![1; 15].into(), ..request() },
        ConnectRequest { nonce: vec![1; 65].into(), ..request() },
        ConnectRequest { agent_id: "My.App".into(), ..request() },
        ConnectRequest { agent_id: "www".into(), ..request() },
        ConnectRequest { instance_id: "x".repeat(65), ..request() },
        ConnectRequest { labels: (0..17).map(|i| (i.to_string(), String::new())).collect(), ..request() },
    ] {
        assert!(matches!(verify(&authenticator, request), Err(Rejection::Malformed(_))));
    }
}

#[test]
fn a_named_gateway_is_no_other() {
    let authenticator = authenticator(&["one.example.com", "two.example.com"]);
    assert!(verify(&authenticator, signed(request(), &secret(), "two.example.com")).is_ok());
    let claims_otherwise = ConnectRequest { audience: HOST.into(), nonce: vec![2; 16].into(), ..request() };
    let refused = verify(&authenticator, signed(claims_otherwise, &secret(), HOST));
    assert_eq!(refused.unwrap_err(), Rejection::Unauthenticated);
}

#[test]
fn an_agent_that_says_whom_it_dialled_is_believed_behind_a_proxy() {
    let authenticator = authenticator(&[]);
    let request = ConnectRequest { audience: "public.example.com".into(), ..request() };
    assert!(verify(&authenticator, signed(request, &secret(), "public.example.com")).is_ok());
}

#[test]
fn new_credentials_count_at_once() {
    let authenticator = authenticator(&[]);
    authenticator.replace_credentials(Credentials::default());
    let refused = verify(&authenticator, signed(request(), &secret(), HOST));
    assert_eq!(refused.unwrap_err(), Rejection::Unauthenticated);
}

#[test]
fn a_signature_may_hold_for_one_connection_only() {
    use ChannelBinding::{None, TlsExporter, Unseen};
    let (plain, here) = (Channel::plain(), Channel::tls(Some([3; 32]), Option::None));
    for (kind, value, channel, outcome) in [
        (None, &b""[..], &plain, Ok(())),
        (None, b"", &here, Ok(())),
        (TlsExporter, &[3; 32], &here, Ok(())),
        (TlsExporter, &[4; 32], &here, Err(Rejection::Unauthenticated)),
        (TlsExporter, b"", &here, Err(Rejection::Unauthenticated)),
        (None, &[3; 32], &here, Err(Rejection::Unauthenticated)),
        (TlsExporter, &[3; 32], &plain, Err(Rejection::NoTls)),
        (Unseen, auth::UNSEEN, &plain, Ok(())),
        (Unseen, auth::UNSEEN, &here, Err(Rejection::Intercepted)),
        (Unseen, b"", &here, Err(Rejection::Unauthenticated)),
        (None, auth::UNSEEN, &here, Err(Rejection::Unauthenticated)),
    ] {
        let found = bound(kind, value, channel).map(drop);
        assert_eq!(found, outcome, "{kind:?} {value:?} {channel:?}");
    }
}

#[test]
fn a_certificate_is_that_of_the_agent_or_none_at_all() {
    let shown = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect();
        bound(ChannelBinding::None, b"", &Channel::tls(None, Some(names))).map(drop)
    };
    assert_eq!(shown(&["myapp"]), Ok(()));
    assert_eq!(shown(&["other", "myapp"]), Ok(()));
    for other in [&["other"][..], &["myapp.example.com"], &["*"], &[]] {
        assert_eq!(shown(other), Err(Rejection::Certificate), "{other:?}");
    }
}
