//! Certificates that a gateway orders: when it does, how an authority finds it, and what clients see of it.

use std::{net::SocketAddr, path::Path};

use gateway::Challenge;
use tempfile::TempDir;
use tests::{
    AGENT, Agent, Authority, Chunk, DOMAIN, Gateway, H1_ONLY, Life, Request, Service, Transport, Upstream,
    Wire, eventually, over_every_transport,
};

over_every_transport![
    an_authority_finds_a_gateway_over_http,
    an_authority_finds_a_gateway_over_tls,
    a_renewal_disturbs_nobody,
    an_authority_that_fails_takes_nothing_away,
    an_authority_may_forget_an_account,
    what_is_in_the_cache_is_not_ordered_again,
    an_authority_may_find_another_gateway_of_the_cache,
];

/// A gateway that orders a certificate for its agent.
struct Scene {
    authority: Authority,
    cache: TempDir,
    gateway: Gateway,
    _agent: Agent,
}

impl Scene {
    async fn start(transport: Transport, upstream: SocketAddr, challenge: Challenge) -> Self {
        let authority = Authority::start().await;
        let cache = tempfile::tempdir().unwrap();
        let gateway = gateway(&authority, cache.path(), challenge).await;
        authority.find(&gateway);
        let mut agent = Agent::start(transport, gateway.port(transport), AGENT, upstream);
        agent.online().await;
        Self { authority, cache, gateway, _agent: agent }
    }

    async fn client(&self) -> Option<Wire> {
        self.authority.connect(&self.gateway, &host(), H1_ONLY).await.ok().map(Wire::secure)
    }

    /// The certificate that a client is shown.
    async fn shown(&self) -> Option<Vec<u8>> {
        let stream = self.authority.connect(&self.gateway, &host(), H1_ONLY).await.ok()?;
        Some(stream.get_ref().1.peer_certificates()?[0].to_vec())
    }

    async fn has_certificate(&self) {
        eventually("there is a certificate", async || self.shown().await.is_some()).await;
    }
}

async fn gateway(authority: &Authority, cache: &Path, challenge: Challenge) -> Gateway {
    let tls = authority.config(&host(), cache, challenge);
    Gateway::start_with_config(|config| config.tls = Some(tls)).await
}

fn host() -> String {
    format!("{AGENT}.{DOMAIN}")
}

/// Whatever the way, there is an alert before, and a certificate behind it.
async fn is_found(transport: Transport, challenge: Challenge, way: &str) {
    let service = Service::echo().await;
    let scene = Scene::start(transport, service.addr(), challenge).await;
    let refused = scene.authority.connect(&scene.gateway, &host(), H1_ONLY).await.unwrap_err();
    assert!(refused.to_string().contains("AccessDenied"), "{refused}");
    scene.authority.allow(Life::Fresh);
    scene.has_certificate().await;
    assert_eq!(scene.authority.looked(), [way]);

    let answer = scene.client().await.unwrap().ask(&Request::get("/over/tls").to(AGENT)).await;
    assert_eq!(answer.head.value("x-target"), Some("/over/tls"));
    // What is not pending any more is the service's.
    let asked = "/.well-known/acme-challenge/token-0";
    let answer = scene.gateway.client().await.ask(&Request::get(asked).to(AGENT)).await;
    assert_eq!((answer.head.status(), answer.head.value("x-target")), (200, Some(asked)));
    let late = scene.authority.connect(&scene.gateway, &host(), &["acme-tls/1"]).await.unwrap_err();
    assert!(late.to_string().contains("AccessDenied"), "{late}");
    assert!(scene.gateway.metrics().await.expiry(&host()) > 0);
}

async fn an_authority_finds_a_gateway_over_http(transport: Transport) {
    is_found(transport, Challenge::Http01, "http-01").await;
}

async fn an_authority_finds_a_gateway_over_tls(transport: Transport) {
    is_found(transport, Challenge::TlsAlpn01, "tls-alpn-01").await;
}

async fn a_renewal_disturbs_nobody(transport: Transport) {
    let upstream = Upstream::start().await;
    let scene = Scene::start(transport, upstream.addr(), Challenge::TlsAlpn01).await;
    scene.authority.allow(Life::Short);
    scene.has_certificate().await;
    let old = scene.shown().await;
    let mut client = scene.client().await.unwrap();
    client.begin(&Request::get("/").to(AGENT)).await;
    let mut service = upstream.accept().await;
    service.reader.head().await;
    service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    service.writer.chunk("before").await;
    client.reader.head().await;
    assert_eq!(client.reader.chunk().await, Some(Chunk::Data(b"before".to_vec())));

    scene.authority.allow(Life::Fresh);
    eventually("another certificate is shown", async || {
        let shown = scene.shown().await;
        assert!(shown.is_some(), "there is one all the time");
        shown != old
    })
    .await;
    assert_eq!(scene.authority.accounts(), 1, "the account is used again");

    service.writer.chunk("after").await;
    service.writer.last_chunk().await;
    assert_eq!(client.reader.chunk().await, Some(Chunk::Data(b"after".to_vec())));
    assert_eq!(client.reader.chunk().await, Some(Chunk::Last(Vec::new())));
    assert_eq!(scene.gateway.metrics().await.sessions(), 1, "the agent's link is the same");
}

async fn an_authority_that_fails_takes_nothing_away(transport: Transport) {
    let service = Service::echo().await;
    let scene = Scene::start(transport, service.addr(), Challenge::Http01).await;
    scene.authority.allow(Life::Short);
    scene.has_certificate().await;
    let old = scene.shown().await;
    scene.authority.refuse(true);
    eventually("an order was refused, and again", async || scene.authority.orders()[1] > 1).await;
    let answer = scene.client().await.unwrap().ask(&Request::get("/").to(AGENT)).await;
    assert_eq!(answer.head.status(), 200);
    assert_eq!(scene.shown().await, old);

    scene.authority.refuse(false);
    scene.authority.allow(Life::Fresh);
    eventually("it gives again", async || scene.shown().await != old).await;
}

async fn an_authority_may_forget_an_account(transport: Transport) {
    let service = Service::echo().await;
    let scene = Scene::start(transport, service.addr(), Challenge::Http01).await;
    eventually("there is an account", async || scene.authority.accounts() == 1).await;
    scene.authority.forget();
    // The first order, which waits already, is nobody's then.
    scene.authority.allow(Life::Fresh);
    scene.authority.allow(Life::Fresh);
    scene.has_certificate().await;
    assert_eq!(scene.authority.accounts(), 1, "it is known again");
}

async fn what_is_in_the_cache_is_not_ordered_again(transport: Transport) {
    let service = Service::echo().await;
    let scene = Scene::start(transport, service.addr(), Challenge::TlsAlpn01).await;
    scene.authority.allow(Life::Fresh);
    scene.has_certificate().await;
    let shown = scene.shown().await;
    let Scene { authority, cache, gateway: first, .. } = scene;

    // Another one beside it, and one behind it.
    let mut before = Some(first);
    for _ in 0..2 {
        let gateway = gateway(&authority, cache.path(), Challenge::TlsAlpn01).await;
        drop(before.take());
        let stream = authority.connect(&gateway, &host(), H1_ONLY).await.unwrap();
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
        assert_eq!(Some(certificate), shown);
        assert_eq!((authority.orders(), authority.accounts()), ([1, 0], 1));
    }
}

async fn an_authority_may_find_another_gateway_of_the_cache(transport: Transport) {
    let service = Service::echo().await;
    let scene = Scene::start(transport, service.addr(), Challenge::TlsAlpn01).await;
    // The first one has the right to order, and waits for the authority.
    eventually("there is an account", async || scene.authority.accounts() == 1).await;
    let other = gateway(&scene.authority, scene.cache.path(), Challenge::TlsAlpn01).await;
    scene.authority.find(&other);
    scene.authority.allow(Life::Fresh);
    scene.has_certificate().await;
    eventually("the other one shows it too", async || {
        scene.authority.connect(&other, &host(), H1_ONLY).await.is_ok()
    })
    .await;
    assert_eq!((scene.authority.orders(), scene.authority.accounts()), ([1, 0], 1));
}
