use base64::{Engine as _, prelude::BASE64_STANDARD};
use proto::{HttpVersion, TargetForm};

use super::*;
use crate::ingress::head::Target;

/// The password is `open sesame`.
const ALI: &str =
    "ali:$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$Mqp8wAsrOsjVEIymTD0kATxTpTf4f+0ZMgQPDlukk/w";

/// A door, with what was asked there before.
struct Door {
    policy: Policy,
    limiter: Limiter,
    agent_id: AgentId,
    authority: Bytes,
    now: Instant,
}

/// Who comes to it.
#[derive(Clone, Copy)]
struct Guest<'a> {
    from: &'a str,
    scheme: &'static str,
    authorization: Option<&'a str>,
}

const GUEST: Guest<'_> = Guest { from: "192.0.2.1", scheme: "http", authorization: None };

impl Door {
    fn new(settings: &str) -> Self {
        let now = Instant::now();
        Self {
            policy: Policy::new(toml::from_str(settings).unwrap()).expect("something is asked"),
            limiter: Limiter::new(now),
            agent_id: AgentId::parse("myapp").unwrap(),
            authority: Bytes::from_static(b"myapp.example.com:8082"),
            now,
        }
    }

    /// What becomes of a guest, and of the field that it came with.
    fn knock(&self, guest: Guest<'_>) -> Result<Option<Bytes>, IngressError> {
        let mut fields = Fields::new();
        if let Some(credentials) = guest.authorization {
            fields.push("authorization", format!("Basic {}", BASE64_STANDARD.encode(credentials)));
        }
        let mut head = Head {
            method: Bytes::from_static(b"GET"),
            target: Target { form: TargetForm::Origin, authority: None, path: Bytes::from_static(b"/a?b") },
            version: HttpVersion::HttpVersion11,
            fields,
            upgrade: None,
            expect_continue: false,
        };
        let visit = Visit {
            agent_id: &self.agent_id,
            authority: &self.authority,
            visitor: guest.from.parse().unwrap(),
            scheme: guest.scheme,
            https_port: HTTPS,
            now: self.now,
        };
        self.policy.admit(&mut head, visit, &self.limiter)?;
        Ok(head.fields.get("authorization").cloned())
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }
}

#[test]
fn settings_that_ask_nothing_make_no_policy() {
    for settings in [
        "",
        "allow = []",
        "redirect_to_https = false",
        "basic_auth = []",
        "offline_status = 404",
        "request_headers = {}",
    ] {
        assert!(Policy::new(toml::from_str(settings).unwrap()).is_none(), "{settings}");
    }
}

#[test]
fn addresses_are_allowed_and_denied() {
    let door = Door::new("allow = ['192.0.2.0/24']\ndeny = ['192.0.2.13']");
    assert_eq!(door.knock(GUEST), Ok(None));
    for from in ["192.0.2.13", "198.51.100.1", "2001:db8::1"] {
        assert_eq!(door.knock(Guest { from, ..GUEST }), Err(IngressError::Forbidden), "{from}");
    }
}

#[test]
fn plain_http_is_sent_to_https() {
    let mut door = Door::new("redirect_to_https = true");
    assert_eq!(door.knock(Guest { scheme: "https", ..GUEST }), Ok(None));
    for (authority, location) in [
        ("myapp.example.com:8082", "https://myapp.example.com/a?b"),
        ("myapp.example.com", "https://myapp.example.com/a?b"),
        ("[::1]:80", "https://[::1]/a?b"),
        ("[::1]", "https://[::1]/a?b"),
    ] {
        door.authority = Bytes::from_static(authority.as_bytes());
        assert_eq!(door.knock(GUEST), Err(IngressError::HttpsOnly { location: location.into() }));
    }
    let location = |authority: &[u8], port| match to_https(authority, port, b"*") {
        IngressError::HttpsOnly { location } => location,
        other => panic!("{other}"),
    };
    assert_eq!(location(b"a.example", HTTPS), "https://a.example/");
    assert_eq!(location(b"a.example:8082", 8443), "https://a.example:8443/");
    assert_eq!(location(b"[::1]:8082", 8443), "https://[::1]:8443/");
}

#[test]
fn each_client_has_its_rate() {
    let mut door = Door::new("rate_per_client = { per_second = 1, burst = 2 }");
    let other = Guest { from: "192.0.2.2", ..GUEST };
    assert_eq!((door.knock(GUEST), door.knock(GUEST)), (Ok(None), Ok(None)));
    let refused = IngressError::RateLimited { retry_after: Duration::from_secs(1) };
    assert_eq!(door.knock(GUEST), Err(refused));
    assert_eq!(door.knock(other), Ok(None));
    door.wait(Duration::from_secs(1));
    assert_eq!(door.knock(GUEST), Ok(None));
}

#[test]
fn all_clients_together_have_a_rate() {
    let door = Door::new("rate_per_agent = { per_second = 1, burst = 2 }");
    assert_eq!(door.knock(GUEST), Ok(None));
    assert_eq!(door.knock(Guest { from: "192.0.2.2", ..GUEST }), Ok(None));
    assert!(matches!(
        door.knock(Guest { from: "192.0.2.3", ..GUEST }),
        Err(IngressError::RateLimited { .. })
    ));
}

#[test]
fn agents_that_share_the_defaults_do_not_share_a_rate() {
    let mut door = Door::new("rate_per_agent = { per_second = 1, burst = 1 }");
    assert_eq!(door.knock(GUEST), Ok(None));
    door.agent_id = AgentId::parse("other").unwrap();
    assert_eq!(door.knock(GUEST), Ok(None));
    assert!(door.knock(GUEST).is_err());
}

#[test]
fn only_a_user_comes_in_and_the_service_does_not_see_the_password() {
    let door = Door::new(&format!("basic_auth = ['{ALI}']"));
    assert_eq!(door.knock(GUEST), Err(IngressError::Unauthorized));
    for wrong in ["ali:shut sesame", "bob:open sesame", "ali"] {
        let guest = Guest { authorization: Some(wrong), ..GUEST };
        assert_eq!(door.knock(guest), Err(IngressError::Unauthorized), "{wrong}");
    }
    let ali = Guest { authorization: Some("ali:open sesame"), ..GUEST };
    assert_eq!((door.knock(ali), door.knock(ali)), (Ok(None), Ok(None)));
}

#[test]
fn the_service_sees_the_password_if_it_shall() {
    let door = Door::new(&format!("basic_auth = ['{ALI}']\nforward_authorization = true"));
    let ali = Guest { authorization: Some("ali:open sesame"), ..GUEST };
    assert!(door.knock(ali).unwrap().is_some());
}

#[test]
fn passwords_cannot_be_tried_for_long() {
    let mut door = Door::new(&format!("basic_auth = ['{ALI}']"));
    let known = Guest { from: "192.0.2.9", authorization: Some("ali:open sesame"), ..GUEST };
    assert_eq!(door.knock(known), Ok(None));
    let wrong = Guest { authorization: Some("ali:shut sesame"), ..GUEST };
    for _ in 0..10 {
        assert_eq!(door.knock(wrong), Err(IngressError::Unauthorized));
    }
    assert!(matches!(door.knock(wrong), Err(IngressError::RateLimited { .. })));
    let bob = Guest { authorization: Some("bob:open sesame"), ..GUEST };
    assert!(matches!(door.knock(bob), Err(IngressError::RateLimited { .. })));
    let right = Guest { authorization: Some("ali:open sesame"), ..GUEST };
    assert_eq!(door.knock(right), Ok(None), "a password that was right before needs no attempt");
    assert_eq!(door.knock(Guest { from: "192.0.2.2", ..wrong }), Err(IngressError::Unauthorized));
    door.wait(Duration::from_secs(7));
    assert_eq!(door.knock(wrong), Err(IngressError::Unauthorized));
}

#[test]
fn strangers_are_not_asked_for_a_password() {
    let door = Door::new(&format!("basic_auth = ['{ALI}']\ndeny = ['192.0.2.1']"));
    let ali = Guest { authorization: Some("ali:open sesame"), ..GUEST };
    assert_eq!(door.knock(ali), Err(IngressError::Forbidden));
}

#[test]
fn an_agent_may_be_announced_while_it_is_away() {
    let offline = |settings: &str| Door::new(settings).policy.offline();
    assert_eq!(offline("offline_status = 503"), Some(RETRY_OFFLINE));
    assert_eq!(offline("offline_status = 503\noffline_retry_after = '2m'"), Some(Duration::from_secs(120)));
    assert_eq!(offline("max_body = '1'\noffline_status = 404"), None);
}

#[test]
fn the_answer_is_changed() {
    let door = Door::new("response_headers = { remove = ['server'], set = { x-frame-options = 'DENY' } }");
    let mut fields = Fields::new();
    fields.push("server", "secret/1.0");
    door.policy.on_response(&mut fields);
    assert_eq!(
        (fields.get("server"), fields.get("x-frame-options")),
        (None, Some(&Bytes::from_static(b"DENY")))
    );
}

#[test]
fn nothing_secret_is_shown() {
    let settings = format!("basic_auth = ['{ALI}']\nrequest_headers = {{ set = {{ x-key = 'hush' }} }}");
    let shown = format!("{:?}", Door::new(&settings).policy);
    assert!(shown.contains("ali") && !shown.contains("hush") && !shown.contains("MDEyMzQ1"), "{shown}");
}
