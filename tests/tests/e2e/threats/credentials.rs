//! Section 6, and of section 7 what is about agents: what `e2e::authentication` leaves open, which is the life of a
//! credential and how much of everything one of them may have.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use gateway::{
    TokenFile,
    tokens::{MasterKey, Rotation, TokenEntry, TokenKey},
};
use proto::{ConnectError, ConnectRequest, Credential, Secret, connect_error::Code};
use session::LobbyLimits;
use tests::{
    OFFLINE_AGENT, Relay, WRONG_SECRET, credential, edge, eventually, farewell, grant, introduction,
    over_every_transport, signed,
};
use uuid::Uuid;

use super::*;

over_every_transport![
    c1_an_introduction_is_good_on_one_transport_only_once,
    c1_an_introduction_for_another_gateway_is_refused,
    c1_an_introduction_is_not_good_again_after_a_restart,
    c1_an_introduction_is_not_good_again_for_an_heir,
    c1_an_agent_whose_clock_is_slow_is_refused_once_after_a_start,
    c2_who_guesses_is_slowed_down_and_nobody_else,
    c2_failures_behind_a_trusted_proxy_are_not_the_proxys,
    c3_a_token_that_expires_takes_its_session_along,
    c3_a_rotation_ends_the_old_secret_after_its_overlap,
    c3_a_revoked_token_takes_its_sessions_along_and_no_others,
    c3_who_comes_with_a_token_that_was_just_made_is_not_refused,
    c4_secrets_that_are_derived_are_as_good_as_others,
    c5_a_token_has_so_many_sessions,
    c5_an_agent_id_has_so_many_sessions,
    c5_a_token_has_so_many_requests_at_a_time,
    c6_who_is_told_the_time_can_check_it,
];

/// Wrong secret, right everything else.
fn wrong() -> ConnectRequest {
    signed(introduction(AGENT), &Credential { secret: WRONG_SECRET, ..credential(AGENT) })
}

async fn attempt(transport: Transport, gateway: &Gateway, first: ConnectRequest) -> Rogue {
    let rogue = Rogue::dial(transport, gateway.port(transport)).await;
    rogue.send(first);
    rogue
}

async fn refusal(transport: Transport, gateway: &Gateway, first: ConnectRequest) -> ConnectError {
    attempt(transport, gateway, first).await.refused().await
}

async fn c1_an_introduction_is_good_on_one_transport_only_once(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let first = introduction(OFFLINE_AGENT);
    let mut rogue = attempt(transport, &scene.gateway, first.clone()).await;
    rogue.accepted().await;
    for other in [Transport::Grpc, Transport::WebSocket] {
        assert_eq!(refusal(other, &scene.gateway, first.clone()).await.code(), Code::Replayed);
    }
    drop(rogue);
    scene.assert_over().await;
}

async fn c1_an_introduction_for_another_gateway_is_refused(transport: Transport) {
    let named = |name: &'static str| {
        Gateway::start_with_config(move |config| config.audiences = vec!["127.0.0.1".into(), name.into()])
    };
    let right = named("gw-1.example").await;
    let other = Gateway::start_with_config(|config| config.audiences = vec!["gw-2.example".into()]).await;
    let first = introduction(AGENT);
    let error = refusal(transport, &other, first.clone()).await;
    assert_eq!(error.code(), Code::Unauthenticated);
    attempt(transport, &right, first).await.accepted().await;
}

/// Waits until what was signed is older than the milliseconds in which it was signed and a gateway may have begun.
async fn is_past(request: &ConnectRequest) {
    eventually("the clock goes on", async || introduction(AGENT).timestamp > request.timestamp + 2).await;
}

async fn c1_an_introduction_is_not_good_again_after_a_restart(transport: Transport) {
    let gateway = Gateway::start().await;
    let overheard = introduction(AGENT);
    attempt(transport, &gateway, overheard.clone()).await.accepted().await;
    is_past(&overheard).await;
    let gateway = gateway.restart().await;
    for _ in 0..2 {
        let error = refusal(transport, &gateway, overheard.clone()).await;
        assert_eq!((error.code(), error.retryable), (Code::ClockSkew, true));
    }
    attempt(transport, &gateway, introduction(AGENT)).await.accepted().await;
}

async fn c1_an_introduction_is_not_good_again_for_an_heir(transport: Transport) {
    let elder = Gateway::start_shared().await;
    let overheard = introduction(AGENT);
    let rogue = {
        let mut rogue = attempt(transport, &elder, overheard.clone()).await;
        rogue.accepted().await;
        rogue
    };
    drop(rogue); // no heir needs to wait for it
    elder.has_sessions(0).await;
    is_past(&overheard).await;
    let heir = elder.heir().await;
    heir.ready().await;
    assert_eq!(refusal(transport, &heir, overheard).await.code(), Code::ClockSkew);
    attempt(transport, &heir, introduction(AGENT)).await.accepted().await;
}

async fn c1_an_agent_whose_clock_is_slow_is_refused_once_after_a_start(transport: Transport) {
    let gateway = Gateway::start().await;
    let after =
        |time: i64| signed(ConnectRequest { timestamp: time, ..introduction(AGENT) }, &credential(AGENT));
    let slow = introduction(AGENT).timestamp - 20_000;
    let error = refusal(transport, &gateway, after(slow)).await;
    assert_eq!(error.code(), Code::ClockSkew);
    // What an agent does with what it is told: see `agent::connection`.
    attempt(transport, &gateway, after(error.server_time)).await.accepted().await;
}

async fn c2_who_guesses_is_slowed_down_and_nobody_else(transport: Transport) {
    let ten = |limits: &mut gateway::Limits| limits.lobby.failures = LobbyLimits::failures(10);
    let mut scene = Scene::with(transport, ten).await;
    let unknown = || ConnectRequest { token: "itk_nobody".to_owned(), ..wrong() };
    for request in (0..10).map(|number| if number % 2 == 0 { wrong() } else { unknown() }) {
        assert_eq!(refusal(transport, &scene.gateway, request).await.code(), Code::Unauthenticated);
    }
    // From here on nobody looks at signatures from there, so not even the right one helps to find out.
    for request in [wrong(), unknown(), introduction(OFFLINE_AGENT)] {
        let mut rogue = attempt(transport, &scene.gateway, request).await;
        let error = rogue.refused().await;
        assert_eq!((error.code(), error.retryable), (Code::Limit, true));
        assert!((1..=6_000).contains(&error.retry_after_ms), "{error:?}");
        assert_eq!(rogue.goodbye().await, farewell::LIMIT.over(transport));
    }
    // Whoever comes from elsewhere does not notice.
    let elsewhere = Relay::from(Ipv4Addr::new(127, 0, 0, 2), scene.gateway.port(transport)).await;
    let mut other = Rogue::dial(transport, elsewhere.addr()).await;
    other.send(introduction(OFFLINE_AGENT));
    other.accepted().await;
    drop(other);
    scene.assert_over().await;
}

async fn c2_failures_behind_a_trusted_proxy_are_not_the_proxys(transport: Transport) {
    let gateway = Gateway::start_with_config(|config| {
        config.edge = edge("trusted_proxy = ['127.0.0.1']");
        config.limits.lobby.failures = LobbyLimits::failures(2);
    })
    .await;
    for _ in 0..10 {
        assert_eq!(refusal(transport, &gateway, wrong()).await.code(), Code::Unauthenticated);
    }
    attempt(transport, &gateway, introduction(AGENT)).await.accepted().await;
}

/// A token file of the scenario's own, gone after it.
struct Tokens(PathBuf);

impl Tokens {
    fn new() -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(Uuid::new_v4().to_string());
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn path(&self) -> PathBuf {
        self.0.join("tokens.toml")
    }

    /// The usual credential of an agent, as an entry that can be changed.
    fn add(&self, agent: &str, change: impl FnOnce(&mut TokenEntry)) {
        let Credential { token, secret } = credential(agent);
        let mut entry = TokenEntry::new(token, TokenKey::Stored(secret), grant(agent).agent_ids);
        change(&mut entry);
        TokenFile::add(&self.path(), &entry, None).unwrap();
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn c3_a_token_that_expires_takes_its_session_along(transport: Transport) {
    let tokens = Tokens::new();
    // Long enough to connect in, also on a machine that is busy; the file holds whole seconds.
    tokens.add(AGENT, |entry| entry.expires = Some(SystemTime::now() + Duration::from_secs(8)));
    tokens.add(OTHER_AGENT, |_entry| {});
    let gateway = Gateway::start_with_tokens(tokens.path()).await;
    let mut kept = Rogue::join(transport, &gateway, OTHER_AGENT).await;
    let mut mortal = Rogue::join(transport, &gateway, AGENT).await;
    assert_eq!(mortal.goodbye().await, farewell::UNAUTHENTICATED.over(transport));
    kept.heard().await;
    let error = refusal(transport, &gateway, introduction(AGENT)).await;
    assert_eq!((error.code(), error.retryable), (Code::Unauthenticated, false));
    assert!(error.message.contains("expired"), "{error:?}");
    // To somebody who does not hold it, it is as unknown as any other.
    let stranger = refusal(transport, &gateway, wrong()).await;
    let unknown = ConnectRequest { token: "itk_nobody".to_owned(), ..wrong() };
    assert_eq!(stranger, refusal(transport, &gateway, unknown).await);
}

async fn c3_a_rotation_ends_the_old_secret_after_its_overlap(transport: Transport) {
    let tokens = Tokens::new();
    tokens.add(AGENT, |_entry| {});
    let gateway = Gateway::start_with_tokens(tokens.path()).await;
    let mut old = Rogue::join(transport, &gateway, AGENT).await;
    let fresh = Secret::from_bytes([0x5a; Secret::LEN]);
    let rotate = |fresh: &Secret, overlap| {
        let rotation = Rotation { fresh: fresh.clone(), master: None, now: SystemTime::now(), overlap };
        TokenFile::rotate(&tokens.path(), &credential(AGENT).token, rotation).unwrap();
    };
    rotate(&fresh, Duration::from_secs(3600));
    let with_fresh =
        || signed(introduction(AGENT), &Credential { secret: fresh.clone(), ..credential(AGENT) });
    let mut new = None;
    tests::eventually("the new secret is good", async || {
        let mut rogue = attempt(transport, &gateway, with_fresh()).await;
        let accepted = rogue.wait(|frame| match frame {
            proto::gateway_frame::Frame::Accepted(_) => Some(true),
            proto::gateway_frame::Frame::Error(_) => Some(false),
            _ => None,
        });
        let accepted = accepted.await;
        new = accepted.then_some(rogue);
        accepted
    })
    .await;
    let mut new = new.unwrap();
    // So is the old one, and the session that began with it goes on.
    old.heard().await;
    Rogue::join(transport, &gateway, AGENT).await;

    // The next rotation ends it at once, since there are two secrets at most; and the next one in its time.
    rotate(&Secret::from_bytes([0x5b; Secret::LEN]), Duration::from_secs(8));
    assert_eq!(old.goodbye().await, farewell::UNAUTHENTICATED.over(transport));
    new.heard().await;
    assert_eq!(new.goodbye().await, farewell::UNAUTHENTICATED.over(transport));
    let error = refusal(transport, &gateway, with_fresh()).await;
    assert!(error.code() == Code::Unauthenticated && error.message.contains("rotated"), "{error:?}");
}

async fn c3_a_revoked_token_takes_its_sessions_along_and_no_others(transport: Transport) {
    let tokens = Tokens::new();
    tokens.add(AGENT, |_entry| {});
    tokens.add(OTHER_AGENT, |_entry| {});
    let gateway = Gateway::start_with_tokens(tokens.path()).await;
    let mut revoked =
        [Rogue::join(transport, &gateway, AGENT).await, Rogue::join(transport, &gateway, AGENT).await];
    let mut kept = Rogue::join(transport, &gateway, OTHER_AGENT).await;
    let mut client = gateway.client().await;
    client.begin(&Request::get("/").to(OTHER_AGENT)).await;
    let id = kept.request().await.id;

    TokenFile::revoke(&tokens.path(), &credential(AGENT).token, SystemTime::now()).unwrap();
    for session in &mut revoked {
        assert_eq!(session.goodbye().await, farewell::UNAUTHENTICATED.over(transport));
    }
    kept.send(tests::frames::answer(&id, "kept"));
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"kept");
    let error = refusal(transport, &gateway, introduction(AGENT)).await;
    assert!(error.message.contains("revoked"), "its holder is told: {error:?}");
    let error = gateway.client().await.ask(&Request::get("/")).await;
    assert_eq!(error.head.value("indranet-error"), Some("agent_not_found"));
}

async fn c3_who_comes_with_a_token_that_was_just_made_is_not_refused(transport: Transport) {
    let tokens = Tokens::new();
    tokens.add(OTHER_AGENT, |_entry| {});
    let gateway = Gateway::start_with_tokens(tokens.path()).await;
    Rogue::join(transport, &gateway, OTHER_AGENT).await;
    // Strangers knock all the while, and cannot use the looks up.
    for _ in 0..5 {
        assert_eq!(refusal(transport, &gateway, wrong()).await.code(), Code::Unauthenticated);
    }
    tokens.add(AGENT, |_entry| {});
    attempt(transport, &gateway, introduction(AGENT)).await.accepted().await;
    for number in 0..3 {
        let fresh = Secret::from_bytes([number; Secret::LEN]);
        let overlap = Duration::from_secs(3600);
        let rotation = Rotation { fresh: fresh.clone(), master: None, now: SystemTime::now(), overlap };
        TokenFile::rotate(&tokens.path(), &credential(AGENT).token, rotation).unwrap();
        let with_fresh = signed(introduction(AGENT), &Credential { secret: fresh, ..credential(AGENT) });
        attempt(transport, &gateway, with_fresh).await.accepted().await;
    }
}

async fn c4_secrets_that_are_derived_are_as_good_as_others(transport: Transport) {
    let tokens = Tokens::new();
    let key = tokens.0.join("master-key");
    let master = MasterKey::generate().unwrap();
    fs::write(&key, &*master.reveal()).unwrap();
    tokens.add(AGENT, |entry| entry.key = TokenKey::Derived(1));
    tokens.add(OTHER_AGENT, |_entry| {});
    let gateway = Gateway::start_with_master_key(tokens.path(), key).await;
    Rogue::join(transport, &gateway, OTHER_AGENT).await;
    let of_generation = |generation| {
        let token = credential(AGENT).token;
        let secret = master.secret(&token, generation);
        signed(introduction(AGENT), &Credential { token, secret })
    };
    attempt(transport, &gateway, of_generation(1)).await.accepted().await;
    for wrong in [of_generation(0), of_generation(2), introduction(AGENT)] {
        assert_eq!(refusal(transport, &gateway, wrong).await.code(), Code::Unauthenticated);
    }
}

/// An introduction of one of an agent's processes.
fn instance(agent: &str, instance_id: &str) -> ConnectRequest {
    let request = ConnectRequest { instance_id: instance_id.to_owned(), ..introduction(agent) };
    signed(request, &credential(agent))
}

async fn assert_is_one_too_many(transport: Transport, gateway: &Gateway) {
    let mut rogue = attempt(transport, gateway, instance(AGENT, "third")).await;
    let error = rogue.refused().await;
    assert_eq!((error.code(), error.retryable, error.retry_after_ms), (Code::Limit, true, 5_000));
    assert_eq!(rogue.goodbye().await, farewell::LIMIT.over(transport));
}

async fn c5_a_token_has_so_many_sessions(transport: Transport) {
    let tokens = Tokens::new();
    tokens.add(AGENT, |entry| entry.max_sessions = Some(2));
    tokens.add(OTHER_AGENT, |_entry| {});
    let gateway = Gateway::start_with_tokens(tokens.path()).await;
    let mut first = attempt(transport, &gateway, instance(AGENT, "first")).await;
    first.accepted().await;
    let mut second = attempt(transport, &gateway, instance(AGENT, "second")).await;
    second.accepted().await;
    assert_is_one_too_many(transport, &gateway).await;
    Rogue::join(transport, &gateway, OTHER_AGENT).await;
    // A process that dials again takes the place that it has, though its old link may not be gone yet.
    let mut again = attempt(transport, &gateway, instance(AGENT, "first")).await;
    again.accepted().await;
    assert_is_one_too_many(transport, &gateway).await;
    drop((first, second));
    // The place is free a moment after the session has gone.
    eventually("there is room for a third one", async || {
        attempt(transport, &gateway, instance(AGENT, "third")).await.answer().await.is_ok()
    })
    .await;
}

async fn c5_an_agent_id_has_so_many_sessions(transport: Transport) {
    let gateway = Gateway::start_with(|limits| limits.terms.max_sessions_per_agent = 2).await;
    let _sessions =
        [Rogue::join(transport, &gateway, AGENT).await, Rogue::join(transport, &gateway, AGENT).await];
    assert_is_one_too_many(transport, &gateway).await;
    Rogue::join(transport, &gateway, OTHER_AGENT).await;
}

async fn c5_a_token_has_so_many_requests_at_a_time(transport: Transport) {
    let tokens = Tokens::new();
    tokens.add(AGENT, |entry| entry.max_concurrent = Some(1));
    let gateway = Gateway::start_with_tokens(tokens.path()).await;
    let mut rogue = attempt(transport, &gateway, introduction(AGENT)).await;
    assert_eq!(rogue.accepted().await.max_concurrent, 1);
    let mut client = gateway.client().await;
    client.begin(&Request::get("/first")).await;
    let id = rogue.request().await.id;
    let refused = gateway.client().await.ask(&Request::get("/second")).await;
    assert_eq!(refused.head.status(), 503);
    rogue.send(tests::frames::answer(&id, "first"));
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"first");
}

async fn c6_who_is_told_the_time_can_check_it(transport: Transport) {
    let gateway = Gateway::start().await;
    let stale =
        ConnectRequest { timestamp: introduction(AGENT).timestamp - 3_600_000, ..introduction(AGENT) };
    let stale = signed(stale, &credential(AGENT));
    let nonce = stale.nonce.clone();
    let error = refusal(transport, &gateway, stale).await;
    assert_eq!(error.code(), Code::ClockSkew);
    let transcript = proto::auth::skew_transcript(&nonce, error.server_time);
    proto::auth::verify(&credential(AGENT).secret, &transcript, &error.server_signature).unwrap();
    let corrected = ConnectRequest { timestamp: error.server_time, ..introduction(AGENT) };
    attempt(transport, &gateway, signed(corrected, &credential(AGENT))).await.accepted().await;
}
