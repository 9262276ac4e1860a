use std::net::SocketAddr;

use proto::{HttpVersion, TargetForm};

use super::*;
use crate::{
    client::Client,
    edge::{BodyLimit, DefaultSettings, Policy},
    ingress::head::Target,
};

fn head(fields: &[(&'static str, &'static str)]) -> Head {
    let mut list = Fields::new();
    fields.iter().for_each(|(name, value)| list.push(*name, *value));
    Head {
        method: Bytes::from_static(b"GET"),
        target: Target { form: TargetForm::Origin, authority: None, path: Bytes::from_static(b"/") },
        version: HttpVersion::HttpVersion11,
        fields: list,
        upgrade: None,
        expect_continue: false,
    }
}

fn admission(is_trusted: bool, policy: &str) -> Admission {
    let settings: DefaultSettings = toml::from_str(policy).unwrap();
    let client = Client {
        addr: SocketAddr::from(([192, 0, 2, 1], 4711)),
        scheme: "https",
        is_trusted,
        server_name: None,
    };
    Admission { client, policy: Policy::new(settings).map(Into::into), body: BodyLimit::NONE }
}

fn sent(
    fields: &[(&'static str, &'static str)],
    admission: &Admission,
) -> Result<TunnelRequest, IngressError> {
    outgoing(Uuid::nil(), head(fields), Bytes::from_static(b"a.example"), Begun::default(), admission)
}

/// Names and values as they travel.
fn travel(fields: &[(&'static str, &'static str)], admission: &Admission) -> Vec<(String, String)> {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let headers = sent(fields, admission).unwrap().headers;
    headers.into_iter().map(|header| (text(header.name), text(header.value))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const CLAIMS: [(&str, &str); 5] = [
    ("x-forwarded-for", "203.0.113.9"),
    ("x-forwarded-proto", "https"),
    ("forwarded", "for=203.0.113.9"),
    ("x-real-ip", "203.0.113.9"),
    ("x-forwarded-user", "root"),
];

#[test]
fn a_strangers_claims_stay_behind() {
    assert_eq!(travel(&CLAIMS, &admission(false, "")), pairs(&[("indranet-hops", "1")]));
}

#[test]
fn a_trusted_proxys_claims_travel() {
    let expected = [&CLAIMS[..], &[("indranet-hops", "1")]].concat();
    assert_eq!(travel(&CLAIMS, &admission(true, "")), pairs(&expected));
}

#[test]
fn claims_in_disguise_stay_behind_whoever_makes_them() {
    let disguised = [
        ("x_forwarded_for", "203.0.113.9"),
        ("x-forwarded_proto", "https"),
        ("x_real_ip", "203.0.113.9"),
        ("x_request_id", "1"),
        ("indranet_hops", "1"),
        ("content_length", "7"),
        ("transfer_encoding", "chunked"),
        ("my_field", "kept"),
    ];
    for is_trusted in [false, true] {
        let expected = pairs(&[("my_field", "kept"), ("indranet-hops", "1")]);
        assert_eq!(travel(&disguised, &admission(is_trusted, "")), expected);
    }
}

#[test]
fn what_is_the_gateways_stays_behind() {
    let own = [
        ("host", "a.example"),
        ("expect", "100-continue"),
        ("x-request-id", "mine"),
        ("indranet-error", "x"),
        ("proxy-authorization", "Basic eDp5"),
        ("http2-settings", "x"),
        ("connection", "keep-alive"),
        ("accept", "*/*"),
    ];
    for is_trusted in [false, true] {
        let expected = pairs(&[("accept", "*/*"), ("indranet-hops", "1")]);
        assert_eq!(travel(&own, &admission(is_trusted, "")), expected);
    }
}

#[test]
fn gateways_on_the_way_are_counted() {
    let open = admission(false, "");
    assert_eq!(travel(&[("indranet-hops", "3")], &open), pairs(&[("indranet-hops", "4")]));
    assert_eq!(sent(&[("indranet-hops", "8")], &open).unwrap_err(), IngressError::LoopDetected);
    assert_eq!(sent(&[("indranet-hops", "?")], &open).unwrap_err(), IngressError::LoopDetected);
}

#[test]
fn a_client_cannot_undo_what_a_policy_adds() {
    let policy = admission(false, "request_headers = { set = { x-env = 'prod' }, remove = ['x-debug'] }");
    let fields = [("connection", "x-env, indranet-hops"), ("x-env", "test"), ("x-debug", "1"), ("a", "b")];
    assert_eq!(travel(&fields, &policy), pairs(&[("a", "b"), ("x-env", "prod"), ("indranet-hops", "1")]));
}

#[test]
fn a_head_that_grows_over_the_limit_is_the_clients_fault() {
    let open = admission(false, "");
    let fields = |count| vec![("x", "y"); count];
    assert!(sent(&fields(limits::MAX_HEADERS - 1), &open).is_ok());
    assert_eq!(sent(&fields(limits::MAX_HEADERS), &open).unwrap_err(), IngressError::HeadTooLarge);
}

#[test]
fn the_agent_is_told_who_asks() {
    let request = sent(&[], &admission(false, "")).unwrap();
    assert_eq!((request.client_addr.as_str(), request.scheme.as_str()), ("192.0.2.1:4711", "https"));
    assert_eq!(request.authority, "a.example");
}
