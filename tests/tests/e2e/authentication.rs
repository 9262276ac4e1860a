//! Who may become an agent, and what the others are told.

use proto::{AgentFrame, ConnectError, ConnectRequest, Credential, Secret, TokenId, connect_error::Code};
use tests::{
    AGENT, Agent, Farewell, Gateway, OTHER_AGENT, Rogue, Transport, Upstream, WRONG_SECRET, agent_id,
    credential, farewell, frames, introduction, over_every_transport, signed,
};

over_every_transport![
    a_good_introduction_is_accepted_and_the_gateway_proves_itself,
    a_wrong_secret_is_refused,
    an_unknown_token_is_refused_in_the_same_words,
    a_changed_introduction_is_refused,
    another_agents_id_is_refused,
    a_stale_introduction_is_refused_and_told_the_time,
    an_introduction_from_the_future_is_refused_and_told_the_time,
    a_clock_that_goes_ahead_a_little_does_not_matter,
    an_introduction_that_was_used_before_is_refused,
    a_version_that_nobody_speaks_is_refused,
    ids_that_are_none_are_refused,
    malformed_introductions_are_refused,
    a_first_frame_of_another_kind_is_refused,
    an_empty_first_frame_is_refused,
    a_first_frame_that_is_no_frame_is_refused,
    a_first_frame_over_the_limit_is_refused,
    whoever_says_nothing_for_five_seconds_is_refused,
    a_real_agent_gives_up_when_it_is_refused,
];

/// What a gateway says to a first frame that it does not like. It must also close the link in the words of its
/// transport, count the refusal, and have no session afterwards.
async fn refusal(
    gateway: &Gateway,
    transport: Transport,
    first: impl Into<AgentFrame>,
    farewell: Farewell,
) -> ConnectError {
    let before = gateway.metrics().await.sessions();
    let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
    rogue.send(first);
    let error = rogue.refused().await;
    assert_eq!(rogue.goodbye().await, farewell.over(transport), "{error:?}");
    let metrics = gateway.metrics().await;
    assert!(metrics.rejections(error.code().as_str_name().trim_start_matches("CODE_")) > 0);
    assert_eq!(metrics.sessions(), before);
    error
}

async fn a_good_introduction_is_accepted_and_the_gateway_proves_itself(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
    let request = introduction(AGENT);
    let nonce = request.nonce.clone();
    rogue.send(request);
    let accepted = rogue.accepted().await;
    assert_eq!(accepted.gateway_id, "gateway");
    assert_eq!(accepted.public_urls, [format!("http://myapp.tunnel.test:{}", gateway.http().port())]);
    let transcript = proto::auth::accept_transcript(&nonce, &accepted.session_id, &accepted.gateway_id);
    proto::auth::verify(&credential(AGENT).secret, &transcript, &accepted.server_signature).unwrap();
    gateway.has_sessions(1).await;
}

async fn a_wrong_secret_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let request = signed(introduction(AGENT), &Credential { secret: WRONG_SECRET, ..credential(AGENT) });
    let error = refusal(&gateway, transport, request, farewell::UNAUTHENTICATED).await;
    assert_eq!((error.code(), error.retryable), (Code::Unauthenticated, false));
    assert_eq!(error.server_time, 0, "a stranger learns nothing");
}

async fn an_unknown_token_is_refused_in_the_same_words(transport: Transport) {
    let gateway = Gateway::start().await;
    let wrong = signed(introduction(AGENT), &Credential { secret: WRONG_SECRET, ..credential(AGENT) });
    let wrong = refusal(&gateway, transport, wrong, farewell::UNAUTHENTICATED).await;
    for token in ["itk_nobody", "", "itk_", "no token at all", "itk_MYAPP"] {
        let unknown = ConnectRequest { token: token.to_owned(), ..introduction(AGENT) };
        let unknown = signed(unknown, &credential(AGENT));
        assert_eq!(refusal(&gateway, transport, unknown, farewell::UNAUTHENTICATED).await, wrong);
    }
}

async fn a_changed_introduction_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let good = || introduction(AGENT);
    for changed in [
        ConnectRequest { agent_id: OTHER_AGENT.to_owned(), ..good() },
        ConnectRequest { timestamp: good().timestamp + 1000, ..good() },
        ConnectRequest { nonce: vec![7; 16].into(), ..good() },
        ConnectRequest { protocol_version: 2, ..good() },
        ConnectRequest { features: Vec::new(), ..good() },
        ConnectRequest { initial_window: 1 << 30, ..good() },
        ConnectRequest { instance_id: "another".to_owned(), ..good() },
        ConnectRequest { audience: "elsewhere.example".to_owned(), ..good() },
        ConnectRequest { signature: good().signature.slice(..31), ..good() },
        ConnectRequest { signature: [&good().signature[..], &[0]].concat().into(), ..good() },
        ConnectRequest { signature: bytes::Bytes::new(), ..good() },
    ] {
        let error = refusal(&gateway, transport, changed, farewell::UNAUTHENTICATED).await;
        assert_eq!(error.code(), Code::Unauthenticated);
    }
}

async fn another_agents_id_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let request = ConnectRequest { token: credential(AGENT).token.to_string(), ..introduction(OTHER_AGENT) };
    let error =
        refusal(&gateway, transport, signed(request, &credential(AGENT)), farewell::NOT_ALLOWED).await;
    assert_eq!((error.code(), error.retryable), (Code::AgentIdNotAllowed, false));
}

/// An introduction signed this much later than now.
fn introduction_after(milliseconds: i64) -> ConnectRequest {
    let request = introduction(AGENT);
    let timestamp = request.timestamp + milliseconds;
    signed(ConnectRequest { timestamp, ..request }, &credential(AGENT))
}

async fn a_stale_introduction_is_refused_and_told_the_time(transport: Transport) {
    assert_told_the_time(transport, -65_000).await;
}

async fn an_introduction_from_the_future_is_refused_and_told_the_time(transport: Transport) {
    assert_told_the_time(transport, 65_000).await;
}

async fn assert_told_the_time(transport: Transport, milliseconds: i64) {
    let gateway = Gateway::start().await;
    let request = introduction_after(milliseconds);
    let now = request.timestamp - milliseconds;
    let error = refusal(&gateway, transport, request, farewell::UNAUTHENTICATED).await;
    assert_eq!((error.code(), error.retryable), (Code::ClockSkew, true));
    assert!((error.server_time - now).abs() < 30_000, "{error:?}");
}

async fn a_clock_that_goes_ahead_a_little_does_not_matter(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
    rogue.send(introduction_after(32_500));
    rogue.accepted().await;
}

async fn an_introduction_that_was_used_before_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let request = introduction(AGENT);
    let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
    rogue.send(request.clone());
    rogue.accepted().await;
    gateway.has_sessions(1).await;
    let error = refusal(&gateway, transport, request, farewell::UNAUTHENTICATED).await;
    assert_eq!(error.code(), Code::Replayed);
}

async fn a_version_that_nobody_speaks_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let request = signed(ConnectRequest { protocol_version: 0, ..introduction(AGENT) }, &credential(AGENT));
    let error = refusal(&gateway, transport, request, farewell::VERSION).await;
    assert_eq!((error.code(), error.retryable), (Code::Version, false));
}

async fn ids_that_are_none_are_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let long = "a".repeat(64);
    for id in
        ["", "MyApp", "my.app", "..", "../x", "a/b", "my\0app", "my\napp", "-x", "x-", "www", "\u{e9}", &long]
    {
        let request = ConnectRequest { agent_id: id.to_owned(), ..introduction(AGENT) };
        let request = signed(request, &credential(AGENT));
        let error = refusal(&gateway, transport, request, farewell::PROTOCOL).await;
        assert_eq!(error.code(), Code::Protocol, "{id:?}");
    }
}

async fn malformed_introductions_are_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let labels = (0..17).map(|index| (index.to_string(), String::new())).collect();
    for request in [
        ConnectRequest { nonce: vec![7; 15].into(), ..introduction(AGENT) },
        ConnectRequest { nonce: vec![7; 65].into(), ..introduction(AGENT) },
        ConnectRequest { instance_id: "x".repeat(65), ..introduction(AGENT) },
        ConnectRequest { labels, ..introduction(AGENT) },
    ] {
        let request = signed(request, &credential(AGENT));
        let error = refusal(&gateway, transport, request, farewell::PROTOCOL).await;
        assert_eq!(error.code(), Code::Protocol);
    }
}

async fn a_first_frame_of_another_kind_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let id = uuid::Uuid::new_v4().to_string();
    for frame in [
        AgentFrame::from(frames::ping(b"hello".to_vec())),
        frames::response(&id, 200).into(),
        frames::data(&id, "data").into(),
        frames::window(&id, 1).into(),
        proto::Drain::default().into(),
    ] {
        let error = refusal(&gateway, transport, frame, farewell::PROTOCOL).await;
        assert_eq!((error.code(), error.retryable), (Code::Protocol, false));
    }
}

async fn an_empty_first_frame_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let error = refusal(&gateway, transport, AgentFrame::default(), farewell::PROTOCOL).await;
    assert_eq!(error.code(), Code::Protocol);
}

async fn a_first_frame_that_is_no_frame_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
    rogue.send_bytes(b"\xff\xff\xff\xff".to_vec());
    assert_eq!(rogue.goodbye().await, farewell::MALFORMED.over(transport));
}

async fn a_first_frame_over_the_limit_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let labels = [("large".to_owned(), "x".repeat(5000))].into();
    let request = signed(ConnectRequest { labels, ..introduction(AGENT) }, &credential(AGENT));
    let error = refusal(&gateway, transport, request, farewell::PROTOCOL).await;
    assert_eq!(error.code(), Code::Protocol);
}

async fn whoever_says_nothing_for_five_seconds_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut rogue = Rogue::dial(transport, gateway.port(transport)).await;
    assert_eq!(rogue.refused().await.code(), Code::Protocol);
    assert_eq!(rogue.goodbye().await, farewell::PROTOCOL.over(transport));
}

async fn a_real_agent_gives_up_when_it_is_refused(transport: Transport) {
    let gateway = Gateway::start().await;
    let token = TokenId::parse("itk_nobody").unwrap();
    let wrong_secret = Credential { secret: WRONG_SECRET, ..credential(AGENT) };
    let wrong_token = Credential { token, secret: Secret::from_bytes([1; 32]) };
    for (id, credential) in [(AGENT, wrong_secret), (AGENT, wrong_token), (OTHER_AGENT, credential(AGENT))] {
        let config = Agent::config(transport, gateway.port(transport), id, Upstream::nowhere());
        let agent = Agent::start_with(agent::Config { credential, agent_id: agent_id(id), ..config });
        let error = agent.ended().await.unwrap_err();
        assert!(matches!(error, agent::RunError::Refused(_)), "{error}");
    }
}
