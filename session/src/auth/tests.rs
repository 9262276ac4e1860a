use super::*;
use crate::credentials::{AgentIdPattern, Grant, Previous, Withdrawn};

const CLOCK: i64 = 1_790_000_000_000;
const HOST: &str = "tunnel.example.com";

fn secret() -> Secret {
    Secret::from_bytes([7; 32])
}

fn authenticator(audiences: &[&str]) -> Authenticator {
    authenticator_of(audiences, |_grant| {})
}

fn authenticator_of(audiences: &[&str], change: impl FnOnce(&mut Grant)) -> Authenticator {
    let agent_ids = vec![AgentIdPattern::Exactly(AgentId::parse("myapp").unwrap())];
    let mut grant = Grant::new(secret(), agent_ids);
    change(&mut grant);
    let credentials = [(TokenId::parse("itk_a").unwrap(), grant)].into_iter().collect();
    let audiences = audiences.iter().map(|name| (*name).to_owned()).collect();
    Authenticator::new(credentials, audiences, Instant::now())
}

/// When what was signed before the start is out of time in any case.
fn much_later() -> Instant {
    Instant::now() + Duration::from_secs(3600)
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
    authenticator(&[]).verify(request, HOST, channel, CLOCK, much_later())
}

fn verify(authenticator: &Authenticator, request: ConnectRequest) -> Result<Authenticated, Rejection> {
    authenticator.verify(request, HOST, &Channel::plain(), CLOCK, much_later())
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
    let skew = Rejection::ClockSkew(ServerTime::signed(CLOCK, &[1; 16], &secret()));
    for (request, why) in [
        (ConnectRequest { timestamp: CLOCK - 60_001, ..request() }, skew),
        (ConnectRequest { timestamp: CLOCK + 60_001, ..request() }, skew),
        (ConnectRequest { timestamp: i64::MIN, ..request() }, skew),
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
fn what_was_signed_before_the_start_is_signed_anew() {
    let authenticator = authenticator(&[]);
    let began = authenticator.began;
    let outdated = Rejection::Outdated(ServerTime::signed(CLOCK, &[1; 16], &secret()));
    let verify_after = |since: Duration, ago: i64| {
        let request = signed(ConnectRequest { timestamp: CLOCK - ago, ..request() }, &secret(), HOST);
        authenticator.verify(request, HOST, &Channel::plain(), CLOCK, began + since).map(drop)
    };
    let milliseconds = Duration::from_millis;
    assert_eq!(verify_after(milliseconds(0), 1), Err(outdated));
    assert_eq!(verify_after(milliseconds(30_000), 30_001), Err(outdated));
    assert_eq!(verify_after(milliseconds(59_999), 60_000), Err(outdated));
    let told = outdated.to_wire();
    assert_eq!((told.code(), told.server_time), (Code::ClockSkew, CLOCK));
    // Who signed in the millisecond of the start did so after it, for all that anybody knows.
    assert_eq!(verify_after(Duration::from_micros(29_999_001), 30_000), Ok(()));
    assert_eq!(verify_after(milliseconds(30_000), 30_000), Err(Rejection::Replayed));
}

#[test]
fn what_is_bound_to_its_connection_may_be_older_than_the_gateway() {
    let bound = |kind: ChannelBinding, value: &[u8], channel: &Channel| {
        let mut request = ConnectRequest { channel_binding: kind.into(), timestamp: CLOCK - 1, ..request() };
        let transcript = auth::connect_transcript(&request, HOST, value);
        request.signature = auth::sign(&secret(), &transcript).to_vec().into();
        let authenticator = authenticator(&[]);
        authenticator.verify(request, HOST, channel, CLOCK, authenticator.began).map(drop)
    };
    let tls = Channel::tls(Some([3; 32]), None);
    assert_eq!(bound(ChannelBinding::TlsExporter, &[3; 32], &tls), Ok(()));
    assert!(matches!(bound(ChannelBinding::None, b"", &tls), Err(Rejection::Outdated(_))));
    assert!(matches!(
        bound(ChannelBinding::Unseen, auth::UNSEEN, &Channel::plain()),
        Err(Rejection::Outdated(_))
    ));
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

const OLD: Secret = Secret::from_bytes([9; 32]);

#[test]
fn who_is_told_the_time_can_check_who_told_it() {
    let skew = Rejection::ClockSkew(ServerTime::signed(CLOCK, &[1; 16], &secret())).to_wire();
    let transcript = auth::skew_transcript(&[1; 16], skew.server_time);
    assert_eq!(skew.server_time, CLOCK);
    auth::verify(&secret(), &transcript, &skew.server_signature).unwrap();
    let other = Rejection::Unauthenticated.to_wire();
    assert!(other.server_time == 0 && other.server_signature.is_empty());
}

#[test]
fn during_a_rotation_either_key_is_good() {
    let until = |until| move |grant: &mut Grant| grant.previous = Some(Previous { secret: OLD, until });
    let authenticator = authenticator_of(&[], until(CLOCK + 1));
    let with_old = verify(&authenticator, signed(request(), &OLD, HOST)).unwrap();
    assert!(with_old.secret.same_as(&OLD));
    let other = ConnectRequest { nonce: vec![2; 16].into(), ..request() };
    let with_new = verify(&authenticator, signed(other, &secret(), HOST)).unwrap();
    assert!(with_new.secret.same_as(&secret()));

    let over = authenticator_of(&[], until(CLOCK));
    let refused = verify(&over, signed(request(), &OLD, HOST)).unwrap_err();
    assert_eq!(refused, Rejection::Withdrawn(Withdrawn::Rotated));
    assert!(verify(&over, signed(request(), &secret(), HOST)).is_ok());
}

#[test]
fn only_its_holder_is_told_that_a_token_is_over() {
    for (change, why) in [
        ((|grant| grant.revoked = true) as fn(&mut Grant), Withdrawn::Revoked),
        (|grant| grant.expires = Some(CLOCK), Withdrawn::Expired),
    ] {
        let authenticator = authenticator_of(&[], change);
        let holder = verify(&authenticator, signed(request(), &secret(), HOST)).unwrap_err();
        assert_eq!(holder, Rejection::Withdrawn(why));
        let stranger = verify(&authenticator, signed(request(), &OLD, HOST)).unwrap_err();
        assert_eq!(stranger, Rejection::Unauthenticated);
    }
    let later = authenticator_of(&[], |grant| grant.expires = Some(CLOCK + 1));
    assert!(verify(&later, signed(request(), &secret(), HOST)).is_ok());
}

#[test]
fn every_answer_costs_the_same() {
    let previous = Some(Previous { secret: OLD, until: CLOCK + 1 });
    for (audiences, expected) in [(&[][..], 2), (&[HOST, "two.example.com", "three.example.com"], 6)] {
        for has_previous in [false, true] {
            let authenticator = authenticator_of(audiences, |grant| {
                grant.previous = previous.clone().filter(|_| has_previous);
            });
            let unknown = ConnectRequest { token: "itk_b".into(), ..request() };
            let no_token = ConnectRequest { token: "none".into(), ..request() };
            for request in [
                signed(request(), &secret(), HOST),
                signed(request(), &OLD, HOST),
                signed(request(), &Secret::from_bytes([8; 32]), HOST),
                signed(unknown, &secret(), HOST),
                signed(no_token, &secret(), HOST),
                request(),
            ] {
                let before = authenticator.computed.load(std::sync::atomic::Ordering::Relaxed);
                let _ = verify(&authenticator, request.clone()); // whatever the answer is
                let after = authenticator.computed.load(std::sync::atomic::Ordering::Relaxed);
                assert_eq!(after - before, expected, "{request:?}");
            }
        }
    }
}
