//! TLS on every port: who is shown which certificate, who is believed, and what of a connection that is broken off.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use crate::secured::{Streaming, certificate, host, secured};
use agent::{ChannelBinding, Config as AgentConfig, GatewayTls, RunError};
use gateway::{
    Config, EdgeConfig, TlsConfig, TokenFile,
    tokens::{TokenEntry, TokenKey},
};
use hyper::body::Incoming;
use proto::Credential;
use rustls::{
    HandshakeKind,
    version::{TLS12, TLS13},
};
use tests::{
    AGENT, Agent, DOMAIN, Gateway, H1_ONLY, H2, H2_ONLY, Issued, Message, Onward, Opener, Pki, Request,
    Service, Transport, Upstream, Wire, credential, eventually, grant, noise, over_every_transport,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

over_every_transport![
    requests_and_bodies_pass_and_the_service_learns_of_https,
    an_upgrade_passes,
    a_body_that_is_cut_ends_without_a_word,
    a_body_that_ends_with_its_connection_ends_with_a_word,
    the_name_that_is_asked_for_decides_about_the_certificate,
    a_certificate_is_replaced_while_a_stream_runs,
    a_broken_certificate_does_not_hold_up_the_others,
    another_host_than_that_of_the_certificate_is_a_421,
    a_proxy_that_is_trusted_may_ask_for_any_host,
    plain_http_is_told_to_speak_tls,
    the_port_of_http_speaks_both,
    plain_http_is_sent_to_the_port_of_https,
    a_handshake_that_does_not_come_is_not_waited_for,
    another_version_than_the_one_agreed_on_is_not_served,
    an_agent_says_what_is_wrong_with_a_certificate,
    a_certificate_may_be_believed_for_itself,
    an_agent_shows_a_renewed_certificate_without_a_restart,
    an_agent_may_have_to_show_a_certificate,
    a_token_that_is_over_makes_nobody_suspect,
    the_port_of_clients_is_told_of,
    a_certificate_is_for_one_agent,
    an_agents_handshake_is_never_resumed,
    somebody_who_opens_the_connection_is_noticed,
    a_proxy_that_ends_tls_is_told_of,
    an_agent_that_was_lied_to_about_tls_is_told_so,
    a_client_may_speak_tls_with_the_service_itself,
    tls_is_not_passed_to_an_agent_that_does_not_take_it,
    a_connection_that_is_passed_through_breaks_as_its_other_side_does,
    a_greeting_that_is_too_long_is_nobodys,
];

/// A host whose certificate the service has.
const SEALED: &str = "shop.example.org";

const HOUR: Duration = Duration::from_secs(3600);

/// A gateway and an agent that is online over TLS, to a service.
struct Scene {
    pki: Pki,
    gateway: Gateway,
    _agent: Agent,
}

impl Scene {
    async fn start(transport: Transport, upstream: std::net::SocketAddr) -> Self {
        Self::start_with(transport, upstream, |_config| {}).await
    }

    async fn start_with(
        transport: Transport,
        upstream: std::net::SocketAddr,
        adjust: impl FnOnce(&mut Config),
    ) -> Self {
        let (pki, _usual, gateway) = secured(adjust).await;
        Self::online(transport, upstream, pki, gateway).await
    }

    async fn online(
        transport: Transport,
        upstream: std::net::SocketAddr,
        pki: Pki,
        gateway: Gateway,
    ) -> Self {
        let mut agent = Agent::start_with(secure(transport, &gateway, upstream, pki.trust()));
        agent.online().await;
        Self { pki, gateway, _agent: agent }
    }

    async fn h1(&self) -> Wire {
        Wire::secure(self.pki.connect(&self.gateway, &host(), H1_ONLY).await.unwrap())
    }

    async fn h2(&self) -> H2 {
        H2::over(self.pki.connect(&self.gateway, &host(), H2_ONLY).await.unwrap()).await
    }

    /// Asks in both versions.
    async fn ask(&self, request: &Request) -> [Message; 2] {
        [self.h1().await.ask(request).await, self.h2().await.ask(request).await.unwrap()]
    }
}

/// An agent that dials `gateway` over TLS.
fn secure(
    transport: Transport,
    gateway: &Gateway,
    upstream: std::net::SocketAddr,
    gateway_tls: GatewayTls,
) -> AgentConfig {
    secure_at(transport, gateway.port(transport), upstream, gateway_tls)
}

fn secure_at(
    transport: Transport,
    addr: std::net::SocketAddr,
    upstream: std::net::SocketAddr,
    gateway_tls: GatewayTls,
) -> AgentConfig {
    let mut config = Agent::config(transport, addr, AGENT, upstream);
    config.gateways[0].tls = true;
    AgentConfig { gateway_tls, ..config }
}

/// Why an agent does not get in. One that may not try again says so at its end.
async fn refused(config: AgentConfig) -> String {
    let config = AgentConfig { max_retries: Some(0), ..config };
    match Agent::start_with(config).ended().await.unwrap_err() {
        RunError::Refused(reason) | RunError::Unreachable { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

async fn requests_and_bodies_pass_and_the_service_learns_of_https(transport: Transport) {
    let service = Service::start(async |request: hyper::Request<Incoming>| {
        let scheme = request.headers().get("x-forwarded-proto").cloned();
        let mut response = hyper::Response::new(http_body_util::BodyExt::boxed_unsync(request.into_body()));
        response.headers_mut().insert("seen", scheme.unwrap());
        response
    })
    .await;
    let scene = Scene::start(transport, service.addr()).await;
    let body = noise(3_000_000);
    for answer in scene.ask(&Request::post("/").body(&body)).await {
        assert_eq!((answer.head.status(), answer.head.value("seen")), (200, Some("https")));
        assert!(answer.body == body);
    }
    let mut h1 = scene.h1().await;
    for _ in 0..3 {
        assert_eq!(h1.ask(&Request::post("/").body("again")).await.body, b"again");
    }
}

async fn an_upgrade_passes(transport: Transport) {
    let upstream = Upstream::start().await;
    let scene = Scene::start(transport, upstream.addr()).await;
    let mut client = scene.h1().await;
    client.begin(&Request::get("/").field("connection", "upgrade").field("upgrade", "echo")).await;
    let mut service = upstream.accept().await;
    service.reader.head().await;
    service.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").await;
    assert_eq!(client.reader.head().await.status(), 101);
    client.send("ping").await;
    assert_eq!(service.reader.exactly(4).await.unwrap(), b"ping");
    service.send("pong").await;
    service.writer.finish().await;
    assert_eq!(client.reader.end().await.unwrap(), b"pong", "the end of one direction is announced");
    client.send("more").await;
    assert_eq!(service.reader.exactly(4).await.unwrap(), b"more");
    client.writer.finish().await;
    assert_eq!(service.reader.rest().await, b"");
}

async fn a_body_that_is_cut_ends_without_a_word(transport: Transport) {
    let upstream = Upstream::start().await;
    let scene = Scene::start(transport, upstream.addr()).await;
    // To a client of HTTP/1.0 the end of the connection would be the end of the body.
    let mut client = scene.h1().await;
    client.send(format!("GET / HTTP/1.0\r\nhost: {}\r\n\r\n", host())).await;
    let mut service = upstream.accept().await;
    service.reader.head().await;
    service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    client.reader.head().await;
    assert_eq!(client.reader.exactly(3).await.unwrap(), b"abc");
    drop(service);
    client.reader.end().await.unwrap_err();
}

async fn a_body_that_ends_with_its_connection_ends_with_a_word(transport: Transport) {
    let upstream = Upstream::start().await;
    let scene = Scene::start(transport, upstream.addr()).await;
    let mut client = scene.h1().await;
    client.send(format!("GET / HTTP/1.0\r\nhost: {}\r\n\r\n", host())).await;
    let mut service = upstream.accept().await;
    service.reader.head().await;
    service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    client.reader.head().await;
    assert_eq!(client.reader.end().await.unwrap(), b"abc");
}

async fn the_name_that_is_asked_for_decides_about_the_certificate(transport: Transport) {
    let pki = Pki::new();
    let usual = pki.usual();
    let shop = pki.issue("shop", &["Shop.example.org"]);
    let one = pki.issue("one", &[&format!("one.{DOMAIN}")]);
    let tls = pki.config(&[&usual, &shop, &one]);
    let service = Service::saying("well").await;
    let gateway = Gateway::start_with_config(|config| config.tls = Some(tls)).await;
    let scene = Scene::online(transport, service.addr(), pki, gateway).await;
    let shown =
        async |name: &str| certificate(&scene.pki.connect(&scene.gateway, name, H1_ONLY).await.unwrap());
    assert_eq!(shown("shop.example.org").await, *shop.der);
    assert_eq!(shown(&format!("one.{DOMAIN}")).await, *one.der);
    assert_eq!(shown(&format!("two.{DOMAIN}")).await, *usual.der);
    assert_eq!(shown("127.0.0.1").await, *usual.der, "without a name it is the first one");
    let wrong = scene.pki.connect(&scene.gateway, "nobody.example", H1_ONLY).await;
    assert!(wrong.unwrap_err().to_string().contains("not valid for name"));
}

async fn a_certificate_is_replaced_while_a_stream_runs(transport: Transport) {
    let upstream = Upstream::start().await;
    let scene = Scene::start(transport, upstream.addr()).await;
    let stream = Streaming::begin(scene.h1().await, &upstream).await;

    let renewed = scene.pki.usual();
    let shown = async || certificate(&scene.pki.connect(&scene.gateway, &host(), H2_ONLY).await.unwrap());
    eventually("the new certificate is shown", async || shown().await == *renewed.der).await;

    // What cannot be used changes nothing; the next one that can is taken.
    fs::write(&renewed.files.cert, "no certificate").unwrap();
    let other = scene.pki.issue("other", &[&host(), "127.0.0.1"]);
    assert_eq!(shown().await, *renewed.der);
    fs::copy(&other.files.key, &renewed.files.key).unwrap();
    assert_eq!(shown().await, *renewed.der);
    fs::copy(&other.files.cert, &renewed.files.cert).unwrap();
    eventually("the next certificate is shown", async || shown().await == *other.der).await;

    stream.finish(&scene.gateway).await;
}

async fn a_broken_certificate_does_not_hold_up_the_others(transport: Transport) {
    let pki = Pki::new();
    let [usual, shop] = [pki.usual(), pki.issue("shop", &["shop.example.org"])];
    let tls = pki.config(&[&usual, &shop]);
    let gateway = Gateway::start_with_config(|config| config.tls = Some(tls)).await;
    let service = Service::saying("well").await;
    let scene = Scene::online(transport, service.addr(), pki, gateway).await;
    let shown =
        async |name: &str| certificate(&scene.pki.connect(&scene.gateway, name, H1_ONLY).await.unwrap());
    let breakages: [&dyn Fn(); 2] = [&|| fs::write(&usual.files.cert, "no certificate").unwrap(), &|| {
        fs::remove_file(&usual.files.cert).unwrap()
    }];
    for broken in breakages {
        broken();
        let renewed = scene.pki.issue("shop", &["shop.example.org"]);
        eventually("the other one is new", async || shown("shop.example.org").await == *renewed.der).await;
        assert_eq!(shown(&host()).await, *usual.der, "the last one that could be used");
    }
    let renewed = scene.pki.usual();
    eventually("it is whole again", async || shown(&host()).await == *renewed.der).await;
}

async fn another_host_than_that_of_the_certificate_is_a_421(transport: Transport) {
    let service = Service::saying("well").await;
    let scene = Scene::start(transport, service.addr()).await;
    for other in [format!("other.{DOMAIN}"), "nobody.example".to_owned(), "127.0.0.1".to_owned()] {
        for answer in scene.ask(&Request::get("/").host(&other)).await {
            let code = answer.head.value("indranet-error");
            assert_eq!((answer.head.status(), code), (421, Some("misdirected_request")), "{other}");
        }
    }
    for same in [host(), host().to_uppercase(), format!("{}:8443", host()), format!("{}.", host())] {
        for answer in scene.ask(&Request::get("/").host(&same)).await {
            assert_eq!(answer.head.status(), 200, "{same}");
        }
    }
    // Who asked for no name by TLS may ask for any.
    let mut nameless = Wire::secure(scene.pki.connect(&scene.gateway, "127.0.0.1", H1_ONLY).await.unwrap());
    assert_eq!(nameless.ask(&Request::get("/")).await.head.status(), 200);
}

async fn a_proxy_that_is_trusted_may_ask_for_any_host(transport: Transport) {
    let service = Service::saying("well").await;
    let scene = Scene::start_with(transport, service.addr(), |config| {
        config.edge = tests::edge("trusted_proxy = ['127.0.0.0/8']");
    })
    .await;
    let stream = scene.pki.connect(&scene.gateway, &format!("inside.{DOMAIN}"), H1_ONLY).await.unwrap();
    assert_eq!(Wire::secure(stream).ask(&Request::get("/")).await.head.status(), 200);
}

async fn plain_http_is_told_to_speak_tls(transport: Transport) {
    let service = Service::saying("well").await;
    let scene = Scene::start(transport, service.addr()).await;
    for port in [scene.gateway.https(), scene.gateway.port(transport)] {
        let answer = Wire::connect(port).await.ask(&Request::get("/")).await;
        assert_eq!(answer.head.status(), 400);
        assert!(String::from_utf8(answer.body).unwrap().contains("This port speaks TLS"));
    }
}

async fn the_port_of_http_speaks_both(transport: Transport) {
    let service = Service::saying("well").await;
    let scene = Scene::start(transport, service.addr()).await;
    assert_eq!(scene.gateway.client().await.ask(&Request::get("/")).await.body, b"well");
    let tcp = TcpStream::connect(scene.gateway.http()).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(scene.pki.client(H2_ONLY));
    let stream = connector.connect(host().try_into().unwrap(), tcp).await.unwrap();
    assert_eq!(H2::over(stream).await.ask(&Request::get("/")).await.unwrap().body, b"well");
}

async fn plain_http_is_sent_to_the_port_of_https(transport: Transport) {
    let service = Service::saying("well").await;
    let scene = Scene::start_with(transport, service.addr(), |config| {
        config.edge = EdgeConfig { redirect_to_https: true, ..EdgeConfig::default() };
    })
    .await;
    let answer = scene.gateway.client().await.ask(&Request::get("/a?b=c")).await;
    let port = scene.gateway.https().port();
    assert_eq!(answer.head.status(), 308);
    assert_eq!(answer.head.value("location"), Some(&*format!("https://{}:{port}/a?b=c", host())));
    for answer in scene.ask(&Request::get("/")).await {
        assert_eq!(answer.body, b"well");
    }
}

async fn a_handshake_that_does_not_come_is_not_waited_for(transport: Transport) {
    let (_pki, _usual, gateway) = secured(|config| {
        config.limits.header_timeout = Duration::from_millis(100);
        config.limits.lobby.patience = Duration::from_millis(100);
    })
    .await;
    for port in [gateway.https(), gateway.http(), gateway.port(transport)] {
        for beginning in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
            let mut stream = TcpStream::connect(port).await.unwrap();
            stream.write_all(beginning).await.unwrap();
            let mut rest = Vec::new();
            // With or without a reset; that it ends at all is what is waited for.
            let _ = stream.read_to_end(&mut rest).await;
        }
    }
}

async fn another_version_than_the_one_agreed_on_is_not_served(transport: Transport) {
    let service = Service::saying("well").await;
    let scene = Scene::start(transport, service.addr()).await;
    let mut client = Wire::secure(scene.pki.connect(&scene.gateway, &host(), H2_ONLY).await.unwrap());
    client.begin(&Request::get("/")).await;
    assert_eq!(client.reader.rest().await, b"");
    let mut client = scene.h1().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(client.reader.head().await.value("indranet-error"), Some("unsupported_version"));
    let nothing = scene.pki.connect(&scene.gateway, &host(), &["http/0.9"]).await;
    assert!(nothing.unwrap_err().to_string().contains("NoApplicationProtocol"));
}

async fn an_agent_says_what_is_wrong_with_a_certificate(transport: Transport) {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let elsewhere = pki.issue("elsewhere", &["gw.example.com"]);
    let tls = pki.config(&[&elsewhere]);
    let gateway = Gateway::start_with_config(|config| config.tls = Some(tls)).await;
    let nowhere = Upstream::nowhere();
    let reason = refused(secure(transport, &gateway, nowhere, stranger.trust())).await;
    assert!(reason.contains("--ca-file"), "{reason}");
    let reason = refused(secure(transport, &gateway, nowhere, pki.trust())).await;
    assert!(reason.contains("is not for 127.0.0.1 (it is for gw.example.com)"), "{reason}");
    assert!(reason.contains("--tls-server-name NAME"), "{reason}");
    let misnamed = pki.trust().with_server_name("wrong.example").unwrap();
    let reason = refused(secure(transport, &gateway, nowhere, misnamed)).await;
    assert!(reason.contains("is not for wrong.example (it is for gw.example.com)"), "{reason}");
    let named = pki.trust().with_server_name("gw.example.com").unwrap();
    Agent::start_with(secure(transport, &gateway, nowhere, named)).online().await;
    Agent::start_with(secure(transport, &gateway, nowhere, GatewayTls::insecure())).online().await;

    let plain = Gateway::start().await;
    let reason = refused(secure(transport, &plain, nowhere, pki.trust())).await;
    assert!(reason.contains("no TLS") || reason.contains("does not speak TLS"), "{reason}");
    let reason = refused(Agent::config(transport, gateway.port(transport), AGENT, nowhere)).await;
    assert!(reason.contains("speaks TLS"), "{reason}");
}

/// A gateway that asks agents for certificates of `pki`.
async fn asking(pki: &Pki, require_client_cert: bool) -> Gateway {
    let usual = pki.usual();
    let tls = TlsConfig { client_ca: Some(pki.ca_file()), require_client_cert, ..pki.config(&[&usual]) };
    Gateway::start_with_config(|config| config.tls = Some(tls)).await
}

async fn a_certificate_may_be_believed_for_itself(transport: Transport) {
    let pki = Pki::new();
    let nowhere = Upstream::nowhere();
    for shown in [pki.self_signed("own", &["127.0.0.1"]), pki.issue("issued", &["127.0.0.1"])] {
        let tls = pki.config(&[&shown]);
        let gateway = Gateway::start_with_config(|config| config.tls = Some(tls)).await;
        let trust = GatewayTls::with_ca(&shown.files.cert).unwrap();
        Agent::start_with(secure(transport, &gateway, nowhere, trust.clone())).online().await;
        let misnamed = trust.with_server_name("gw.example.com").unwrap();
        let reason = refused(secure(transport, &gateway, nowhere, misnamed)).await;
        assert!(reason.contains("is not for gw.example.com"), "{reason}");
        // Another one of the same name is another one.
        let other = pki.self_signed("other", &["127.0.0.1"]);
        let trust = GatewayTls::with_ca(&other.files.cert).unwrap();
        refused(secure(transport, &gateway, nowhere, trust)).await;
    }
}

async fn an_agent_shows_a_renewed_certificate_without_a_restart(transport: Transport) {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let nowhere = Upstream::nowhere();
    let gateway = asking(&pki, true).await;
    let (own, foreign) = (pki.issue("shown", &[AGENT]), stranger.issue("shown", &[AGENT]));
    let (good_cert, good_key) = (fs::read(&own.files.cert).unwrap(), fs::read(&own.files.key).unwrap());
    let show = |cert: &[u8], key: &[u8]| {
        fs::write(&own.files.cert, cert).unwrap();
        fs::write(&own.files.key, key).unwrap();
    };
    let (bad_cert, bad_key) = (fs::read(&foreign.files.cert).unwrap(), fs::read(&foreign.files.key).unwrap());
    show(&bad_cert, &bad_key);
    let mut agent = Agent::start_with(secure(transport, &gateway, nowhere, pki.trust_with(&own)));
    let reason = agent.offline().await;
    assert!(reason.contains("--client-ca"), "{reason}");
    show(&good_cert, &good_key);
    agent.online().await;
    // What cannot be used changes nothing.
    show(b"no certificate", b"no key");
    let _gateway = gateway.restart().await;
    agent.online().await;
}

async fn a_token_that_is_over_makes_nobody_suspect(transport: Transport) {
    let pki = Pki::new();
    let tls = pki.config(&[&pki.usual()]);
    let tokens = pki.path().join("tokens.toml");
    let Credential { token, secret } = credential(AGENT);
    let entry = TokenEntry::new(token.clone(), TokenKey::Stored(secret), grant(AGENT).agent_ids);
    TokenFile::add(&tokens, &entry, None).unwrap();
    TokenFile::revoke(&tokens, &token, SystemTime::now()).unwrap();
    let gateway = Gateway::start_with_tokens_and(tokens, |config| config.tls = Some(tls)).await;
    let nowhere = Upstream::nowhere();
    let reason = refused(secure(transport, &gateway, nowhere, pki.trust())).await;
    assert!(reason.contains("the token was revoked") && !reason.contains("TLS"), "{reason}");
}

async fn the_port_of_clients_is_told_of(transport: Transport) {
    let (pki, _usual, gateway) = secured(|_config| {}).await;
    let nowhere = Upstream::nowhere();
    let plain = refused(Agent::config(transport, gateway.http(), AGENT, nowhere)).await;
    let secure = refused(secure_at(transport, gateway.https(), nowhere, pki.trust())).await;
    for reason in [plain, secure] {
        assert!(reason.contains("this is the gateway's port for clients"), "{reason}");
    }
}

async fn an_agent_may_have_to_show_a_certificate(transport: Transport) {
    let (pki, stranger) = (Pki::new(), Pki::new());
    let own = pki.issue_to(AGENT);
    let nowhere = Upstream::nowhere();
    let gateway = asking(&pki, true).await;
    Agent::start_with(secure(transport, &gateway, nowhere, pki.trust_with(&own))).online().await;
    let reason = refused(secure(transport, &gateway, nowhere, pki.trust())).await;
    assert!(reason.contains("--client-cert FILE and --client-key FILE"), "{reason}");
    let foreign = stranger.issue_to(AGENT);
    let reason = refused(secure(transport, &gateway, nowhere, pki.trust_with(&foreign))).await;
    assert!(reason.contains("--client-ca"), "{reason}");
    let now = SystemTime::now();
    let expired = pki.issue_for(AGENT, now - 2 * HOUR, now - HOUR);
    refused(secure(transport, &gateway, nowhere, pki.trust_with(&expired))).await;
    // The stranger's authority has the name of ours.
    for reason in ["missing", "bad_signature", "expired"] {
        // The gateway counts when the agent has gone.
        eventually(reason, async || gateway.metrics().await.refused_certificates(reason) == 1).await;
    }
    // Clients are not asked.
    pki.connect(&gateway, &host(), H1_ONLY).await.unwrap();
}

async fn a_certificate_is_for_one_agent(transport: Transport) {
    let pki = Pki::new();
    let nowhere = Upstream::nowhere();
    let gateway = asking(&pki, false).await;
    let dial = |issued: &Issued| secure(transport, &gateway, nowhere, pki.trust_with(issued));
    Agent::start_with(dial(&pki.issue_to("MyApp"))).online().await;
    Agent::start_with(dial(&pki.issue("names", &["other", AGENT]))).online().await;
    for other in [pki.issue_to("other"), pki.issue("host", &[&host()])] {
        let reason = refused(dial(&other)).await;
        assert!(reason.contains("agent_id_not_allowed"), "{reason}");
    }
    Agent::start_with(secure(transport, &gateway, nowhere, pki.trust())).online().await;
}

async fn an_agents_handshake_is_never_resumed(transport: Transport) {
    let (pki, _usual, gateway) = secured(|_config| {}).await;
    let alpn = if transport == Transport::Grpc { H2_ONLY } else { H1_ONLY };
    for version in [&TLS12, &TLS13] {
        let connector = tokio_rustls::TlsConnector::from(pki.client_of(version, alpn));
        let again = async |addr| {
            let tcp = TcpStream::connect(addr).await.unwrap();
            let mut stream = connector.connect(host().try_into().unwrap(), tcp).await.unwrap();
            let kind = stream.get_ref().1.handshake_kind();
            // A ticket of TLS 1.3 comes before any answer.
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            let _ = stream.read(&mut [0; 64]).await;
            kind
        };
        for _ in 0..2 {
            assert_eq!(again(gateway.port(transport)).await, Some(HandshakeKind::Full), "{version:?}");
        }
    }
}

async fn somebody_who_opens_the_connection_is_noticed(transport: Transport) {
    let (pki, usual, gateway) = secured(|_config| {}).await;
    let opener = Opener::start(&pki, &usual, &[(gateway.port(transport), Onward::Tls)]).await;
    let nowhere = Upstream::nowhere();
    let dial = |channel_binding| AgentConfig {
        channel_binding,
        ..secure_at(transport, opener.addr(), nowhere, pki.trust())
    };
    for channel_binding in [ChannelBinding::Auto, ChannelBinding::Require] {
        let reason = refused(dial(channel_binding)).await;
        assert!(reason.contains("opens their TLS connection"), "{reason}");
    }
    // It is the binding that tells: without it nobody notices.
    Agent::start_with(dial(ChannelBinding::None)).online().await;
}

async fn a_proxy_that_ends_tls_is_told_of(transport: Transport) {
    let pki = Pki::new();
    let usual = pki.usual();
    let gateway = Gateway::start().await;
    let proxy = Opener::start(&pki, &usual, &[(gateway.port(transport), Onward::Plain)]).await;
    let nowhere = Upstream::nowhere();
    let dial = |channel_binding| AgentConfig {
        channel_binding,
        ..secure_at(transport, proxy.addr(), nowhere, pki.trust())
    };
    let mut agent = Agent::start_with(dial(ChannelBinding::Auto));
    agent.online().await;
    let reason = refused(dial(ChannelBinding::Require)).await;
    assert!(reason.contains("this gateway sees no TLS"), "{reason}");
    assert_eq!(gateway.metrics().await.rejections("PROTOCOL"), 2);
    // It knows from then on, and need not be refused again.
    let gateway = gateway.restart().await;
    agent.online().await;
    assert_eq!(gateway.metrics().await.rejections("PROTOCOL"), 0);
}

async fn an_agent_that_was_lied_to_about_tls_is_told_so(transport: Transport) {
    let (pki, usual, gateway) = secured(|_config| {}).await;
    // A gateway without TLS says that it sees none. Who sits in between can say it of one with TLS.
    let without = Gateway::start().await;
    let ways = [(without.port(transport), Onward::Plain), (gateway.port(transport), Onward::Tls)];
    let opener = Opener::start(&pki, &usual, &ways).await;
    let nowhere = Upstream::nowhere();
    let reason = refused(secure_at(transport, opener.addr(), nowhere, pki.trust())).await;
    assert!(reason.contains("somebody in between opens the connection"), "{reason}");
}

/// A gateway that passes [`SEALED`] through to [`AGENT`], and an agent in front of `upstream`.
async fn passing(transport: Transport, upstream: std::net::SocketAddr, passthrough: bool) -> Scene {
    let (pki, _usual, gateway) = secured(|config| {
        config.edge = tests::edge(&format!(
            "[[agent]]\nid = '{AGENT}'\npassthrough = ['{SEALED}']\n[[agent]]\nid = 'offline'\npassthrough = ['away.example.org']"
        ));
    })
    .await;
    let dialled = secure(transport, &gateway, upstream, pki.trust());
    let mut agent = Agent::start_with(AgentConfig { passthrough, ..dialled });
    agent.online().await;
    Scene { pki, gateway, _agent: agent }
}

async fn a_client_may_speak_tls_with_the_service_itself(transport: Transport) {
    let own = Pki::new();
    let issued = own.issue("shop", &[SEALED]);
    let service = Service::echo().await;
    let front = Opener::start(&own, &issued, &[(service.addr(), Onward::Plain)]).await;
    let scene = passing(transport, front.addr(), true).await;

    let stream = own.connect(&scene.gateway, SEALED, H1_ONLY).await.unwrap();
    assert_eq!(
        stream.get_ref().1.peer_certificates().unwrap()[0],
        issued.der,
        "the service's own certificate"
    );
    let mut client = Wire::secure(stream);
    let body = noise(3_000_000);
    for _ in 0..2 {
        let answer = client.ask(&Request::post("/").host(SEALED).body(&body)).await;
        assert_eq!(answer.head.status(), 200);
        assert!(answer.body == body);
        assert_eq!(answer.head.value("x-request-id"), None, "the gateway has seen nothing of it");
    }
    drop(client);
    scene.gateway.idle().await;
    // Other names are the gateway's.
    scene.h1().await;
    own.connect(&scene.gateway, &host(), H1_ONLY).await.unwrap_err();
}

async fn tls_is_not_passed_to_an_agent_that_does_not_take_it(transport: Transport) {
    let nowhere = Upstream::nowhere();
    let scene = passing(transport, nowhere, false).await;
    for name in [SEALED, "away.example.org"] {
        let error = scene.pki.connect(&scene.gateway, name, H1_ONLY).await.unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    }
    scene.gateway.counted("upstream_refused", 1).await;
    scene.gateway.counted("agent_offline", 1).await;
}

async fn a_connection_that_is_passed_through_breaks_as_its_other_side_does(transport: Transport) {
    let upstream = Upstream::start().await;
    let scene = passing(transport, upstream.addr(), true).await;
    let client = async {
        let error = scene.pki.connect(&scene.gateway, SEALED, H1_ONLY).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    };
    let service = async {
        let mut service = upstream.accept().await;
        assert_eq!(service.reader.exactly(1).await.unwrap(), [22], "the client's greeting");
        service.reset();
    };
    tokio::join!(client, service);
    scene.gateway.idle().await;

    // The other way round.
    let mut client = TcpStream::connect(scene.gateway.https()).await.unwrap();
    let service = async {
        let mut service = upstream.accept().await;
        service.reader.exactly(1).await.unwrap();
        service
    };
    let hello = greeting(&scene.pki);
    let (sent, mut service) = tokio::join!(client.write_all(&hello), service);
    sent.unwrap();
    client.set_zero_linger().unwrap();
    drop(client);
    service.reader.rest().await;
    scene.gateway.idle().await;
}

async fn a_greeting_that_is_too_long_is_nobodys(transport: Transport) {
    let upstream = Upstream::start().await;
    let scene = passing(transport, upstream.addr(), true).await;
    // A ClientHello of 60,000 bytes, as far as it is waited for.
    let mut hello = b"\x01\x00\xea\x60".to_vec();
    hello.resize(33_000, 0);
    let mut client = TcpStream::connect(scene.gateway.https()).await.unwrap();
    for record in hello.chunks(1000) {
        client.write_all(&[b"\x16\x03\x01\x03\xe8", record].concat()).await.unwrap();
    }
    let mut alert = [0; 7];
    client.read_exact(&mut alert).await.unwrap();
    assert_eq!(alert, [21, 3, 3, 0, 2, 2, 50], "fatal, decode_error");
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "and nothing else");
}

/// What a client begins with that asks for [`SEALED`].
fn greeting(pki: &Pki) -> Vec<u8> {
    let mut client = rustls::ClientConnection::new(pki.client(H1_ONLY), SEALED.try_into().unwrap()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}
