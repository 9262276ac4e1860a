//! Section 8: what a log may not hold, and who may not write it.

use std::{
    fs,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use cli::log::{Format, subscriber};
use gateway::{
    TokenFile,
    tokens::{Rotation, TokenEntry, TokenKey},
};
use proto::{ConnectRequest, Credential, Secret};
use session::LobbyLimits;
use tests::{WRONG_SECRET, credential, edge, farewell, grant, introduction, signed, within};
use uuid::Uuid;

use super::*;

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that gateway and agent log at TRACE while `scenario` goes on, all of it on this thread.
fn logged(format: Format, scenario: impl Future<Output = ()>) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = subscriber(format, "trace", false, move || writer.clone()).unwrap();
    // While there is one only, whether anybody wants an event is asked of the thread on which it happens first, once and
    // for all: and that may be another test's.
    let _another = tracing::Dispatch::new(subscriber_to_nowhere());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(subscriber, || runtime.block_on(within(scenario)));
    let bytes = log.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn subscriber_to_nowhere() -> impl tracing::Subscriber + Send + Sync {
    subscriber(Format::Text, "trace", false, io::sink).unwrap()
}

const SECRET: &[u8; 32] = b"SECRETSECRETSECRETSECRETSECRET!!";
const NONCE: &[u8; 16] = b"NONCENONCENONCE!";

fn known() -> Credential {
    Credential { secret: Secret::from_bytes(*SECRET), ..credential(AGENT) }
}

/// A first frame whose parts can be found again.
fn conspicuous() -> ConnectRequest {
    let labels = [("label".to_owned(), "LABELLABEL".to_owned())].into();
    signed(ConnectRequest { nonce: NONCE.to_vec().into(), labels, ..introduction(AGENT) }, &known())
}

/// A run in which everything that is secret is used: agents that are accepted, refused and cut off, and requests.
async fn a_life(transport: Transport, signatures: Arc<Mutex<Vec<String>>>) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Uuid::new_v4().to_string());
    fs::create_dir_all(&directory).unwrap();
    let tokens = directory.join("tokens.toml");
    let Credential { token, secret } = known();
    let entry = TokenEntry::new(token.clone(), TokenKey::Stored(secret), grant(AGENT).agent_ids);
    TokenFile::add(&tokens, &entry, None).unwrap();
    let gateway = Gateway::start_with_tokens(tokens.clone()).await;

    let service = Service::saying("hello").await;
    let config = Agent::config(transport, gateway.port(transport), AGENT, service.addr());
    let mut agent = Agent::start_with(::agent::Config { credential: known(), ..config });
    agent.online().await;
    let request = Request::post("/path?token=QUERYQUERY")
        .field("authorization", "Bearer AUTHAUTHAUTH")
        .field("proxy-authorization", "Basic PROXYPROXY")
        .field("cookie", "session=COOKIECOOKIE")
        .body("BODYBODYBODY");
    assert_eq!(gateway.client().await.ask(&request).await.body, b"hello");

    let first = conspicuous();
    let mut wrong = conspicuous();
    wrong.signature = b"SIGNSIGNSIGNSIGN".repeat(2).into();
    signatures.lock().unwrap().push(format!("{:?}", first.signature).replace('"', "")[1..40].to_owned());
    for (request, accepted) in [(first.clone(), true), (first, false), (wrong, false)] {
        let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
        rogue.send(request);
        if accepted {
            rogue.accepted().await;
        } else {
            rogue.refused().await;
        }
    }
    TokenFile::revoke(&tokens, &token, std::time::SystemTime::now()).unwrap();
    agent.offline().await;
    fs::remove_dir_all(directory).unwrap();
}

fn nothing_secret_is_logged(transport: Transport) {
    for format in [Format::Text, Format::Json] {
        let signatures = Arc::default();
        let log = logged(format, a_life(transport, Arc::clone(&signatures)));
        for expected in
            ["agent connected", "agent refused", "token_revoked", "agent disconnected", "withdrawn"]
        {
            assert!(log.contains(expected), "{expected} is not in the log:\n{log}");
        }
        let secret = Secret::from_bytes(*SECRET).reveal();
        let numbers = SECRET.map(|byte| byte.to_string());
        let found = [
            &secret[..16],
            "SECRETSECRET",
            &numbers[..8].join(", "),
            "NONCENONCE",
            "SIGNSIGN",
            &signatures.lock().unwrap()[0],
            "AUTHAUTH",
            "PROXYPROXY",
            "COOKIECOOKIE",
            "QUERYQUERY",
            "BODYBODY",
        ];
        for secret in found {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret}");
        }
    }
}

#[test]
fn l1_nothing_secret_is_logged_over_grpc() {
    nothing_secret_is_logged(Transport::Grpc);
}

#[test]
fn l1_nothing_secret_is_logged_over_websocket() {
    nothing_secret_is_logged(Transport::WebSocket);
}

/// What a stranger and an agent say of themselves in the hope that somebody writes it down.
async fn an_author(transport: Transport) {
    let gateway = Gateway::start().await;
    let forged = "\n2026-11-26T00:00:00Z  INFO forged: \x1b[31m\r\n{\"forged\":1}";
    for request in [
        ConnectRequest { agent_id: format!("a{forged}"), ..introduction(AGENT) },
        ConnectRequest { token: format!("itk_a{forged}"), ..introduction(AGENT) },
        ConnectRequest { audience: forged.to_owned(), ..introduction(AGENT) },
    ] {
        let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
        rogue.send(request);
        rogue.refused().await;
    }
    let request = ConnectRequest {
        agent_version: forged.to_owned(),
        labels: [(forged.to_owned(), forged.to_owned())].into(),
        ..introduction(AGENT)
    };
    let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
    rogue.send(request);
    rogue.accepted().await;
    rogue.send(proto::Health { serving: false, message: forged.to_owned() });
    rogue.send(proto::Health { serving: true, message: forged.to_owned() });
    rogue.send(tests::frames::data(forged, "x"));
    rogue.heard().await;
    let control = Request::get("/").field("x", b"\x1b[31mforged\r\ninjected");
    gateway.client().await.ask(&control).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/%0aforged%1b%5b31m")).await;
    let id = rogue.request().await.id;
    let reason = proto::tunnel_close::Reason::Cancelled;
    rogue.send(proto::TunnelClose { message: forged.to_owned(), ..tests::frames::close(&id, reason) });
    client.reader.head().await;
}

fn nobody_else_writes_the_log(transport: Transport) {
    let text = logged(Format::Text, an_author(transport));
    assert!(text.contains("agent connected") && text.contains("agent refused"), "{text}");
    for line in text.lines() {
        assert!(!line.starts_with("2026-11-26T00:00:00Z") && !line.starts_with('{'), "{line}");
    }
    assert!(!text.contains(['\x1b', '\r']), "no control characters: {text:?}");
    let json = logged(Format::Json, an_author(transport));
    for line in json.lines() {
        assert!(line.starts_with("{\"timestamp\":") && line.ends_with('}'), "{line}");
    }
    assert!(!json.contains(['\x1b', '\r']), "{json:?}");
}

#[test]
fn l2_nobody_else_writes_the_log_over_grpc() {
    nobody_else_writes_the_log(Transport::Grpc);
}

#[test]
fn l2_nobody_else_writes_the_log_over_websocket() {
    nobody_else_writes_the_log(Transport::WebSocket);
}

/// Requests to a service that nobody has started, which its clients cannot be told the address of.
async fn a_service_that_is_not_there(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut agent = Agent::start(transport, gateway.port(transport), AGENT, tests::Upstream::nowhere());
    agent.online().await;
    for _ in 0..5 {
        let answer = gateway.client().await.ask(&Request::get("/")).await;
        assert_eq!(answer.head.value("indranet-error"), Some("upstream_refused"));
    }
}

fn why_there_is_no_answer_is_in_the_log_once(transport: Transport) {
    let log = logged(Format::Text, a_service_that_is_not_there(transport));
    let told: Vec<_> =
        log.lines().filter(|line| line.contains("the local service does not answer")).collect();
    let [told] = told[..] else { panic!("{told:#?}") };
    assert!(told.contains("WARN") && told.contains("is anything listening on 127.0.0.1:"), "{told}");
}

#[test]
fn why_there_is_no_answer_is_in_the_log_once_over_grpc() {
    why_there_is_no_answer_is_in_the_log_once(Transport::Grpc);
}

#[test]
fn why_there_is_no_answer_is_in_the_log_once_over_websocket() {
    why_there_is_no_answer_is_in_the_log_once(Transport::WebSocket);
}

/// Strangers who are refused for nothing, and an agent behind a proxy.
async fn a_crowd(transport: Transport) {
    let gateway = Gateway::start_with_config(|config| {
        config.edge = edge("trusted_proxy = ['127.0.0.1']");
        config.limits.lobby.failures = LobbyLimits::failures(3);
    })
    .await;
    let port = gateway.port(transport);
    for _ in 0..20 {
        let mut rogue = Rogue::dial_for("203.0.113.9", transport, port).await;
        rogue.send(ConnectRequest { agent_id: "no id".to_owned(), ..introduction(AGENT) });
        rogue.refused().await;
    }
    // They have no more lines, and are not locked out.
    let mut rogue = Rogue::dial_for("203.0.113.9", transport, port).await;
    rogue.send(introduction(AGENT));
    rogue.accepted().await;
    // Nor has anybody else fewer lines for that.
    let wrong = Credential { secret: WRONG_SECRET, ..credential(AGENT) };
    let mut other = Rogue::dial_for("2001:db8::7", transport, port).await;
    other.send(signed(introduction(AGENT), &wrong));
    other.refused().await;
}

/// The events of the audit log.
fn audited(log: &str) -> Vec<serde_json::Value> {
    let events = log.lines().map(|line| serde_json::from_str(line).unwrap());
    events.filter(|event: &serde_json::Value| event["target"] == "audit").collect()
}

fn strangers_cannot_fill_the_log(transport: Transport) {
    let log = logged(Format::Json, a_crowd(transport));
    let events = audited(&log);
    let of = |what: &str, client: &str| {
        events.iter().filter(|event| event["what"] == what && event["client"] == client).collect::<Vec<_>>()
    };
    assert_eq!(of("refused", "203.0.113.9").len(), 3, "{log}");
    assert_eq!(of("throttled", "203.0.113.9").len(), 1, "{log}");
    assert_eq!(of("connected", "203.0.113.9").len(), 1, "{log}");
    let refused = of("refused", "2001:db8::7");
    assert_eq!(refused.len(), 1, "{log}");
    assert_eq!(refused[0]["code"], "UNAUTHENTICATED");
    assert!(refused[0]["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{log}");
}

#[test]
fn l3_strangers_cannot_fill_the_log_over_grpc() {
    strangers_cannot_fill_the_log(Transport::Grpc);
}

#[test]
fn l3_strangers_cannot_fill_the_log_over_websocket() {
    strangers_cannot_fill_the_log(Transport::WebSocket);
}

/// One agent's secret is rotated, the other's token is revoked.
async fn two_ends(transport: Transport) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Uuid::new_v4().to_string());
    fs::create_dir_all(&directory).unwrap();
    let tokens = directory.join("tokens.toml");
    for agent in [AGENT, OTHER_AGENT] {
        let Credential { token, secret } = credential(agent);
        let entry = TokenEntry::new(token, TokenKey::Stored(secret), grant(agent).agent_ids);
        TokenFile::add(&tokens, &entry, None).unwrap();
    }
    let gateway = Gateway::start_with_tokens(tokens.clone()).await;
    let mut rotated = Rogue::join(transport, &gateway, AGENT).await;
    let mut revoked = Rogue::join(transport, &gateway, OTHER_AGENT).await;
    let (now, overlap) = (SystemTime::now(), Duration::ZERO);
    let rotation = Rotation { fresh: WRONG_SECRET, master: None, now, overlap };
    TokenFile::rotate(&tokens, &credential(AGENT).token, rotation).unwrap();
    TokenFile::revoke(&tokens, &credential(OTHER_AGENT).token, now).unwrap();
    for rogue in [&mut rotated, &mut revoked] {
        assert_eq!(rogue.goodbye().await, farewell::UNAUTHENTICATED.over(transport));
    }
    gateway.has_sessions(0).await;
    fs::remove_dir_all(directory).unwrap();
}

fn each_session_ends_for_its_own_reason(transport: Transport) {
    let log = logged(Format::Json, two_ends(transport));
    for (agent, reason) in [(AGENT, "rotated"), (OTHER_AGENT, "revoked")] {
        let ends = audited(&log).into_iter();
        let ends: Vec<_> = ends
            .filter(|event| event["what"] == "disconnected" && event["agent"] == agent)
            .map(|event| event["reason"].clone())
            .collect();
        assert_eq!(ends, [reason], "{log}");
    }
}

#[test]
fn l6_each_session_ends_for_its_own_reason_over_grpc() {
    each_session_ends_for_its_own_reason(Transport::Grpc);
}

#[test]
fn l6_each_session_ends_for_its_own_reason_over_websocket() {
    each_session_ends_for_its_own_reason(Transport::WebSocket);
}
