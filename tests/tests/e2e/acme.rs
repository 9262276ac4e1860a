//! Certificates that a gateway orders: when it does, how an authority finds it, and what clients see of it.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path};

use gateway::{Challenge, ExternalAccount};
use tempfile::TempDir;
use tests::{
    AGENT, Agent, Authority, DOMAIN, Gateway, H1_ONLY, Life, OTHER_AGENT, Request, Service, Transport,
    Upstream, Wire, eventually, over_every_transport,
};

use crate::secured::{Streaming, certificate, host};

over_every_transport![
    an_authority_finds_a_gateway_over_http,
    an_authority_finds_a_gateway_over_tls,
    a_renewal_disturbs_nobody,
    an_authority_that_fails_takes_nothing_away,
    an_authority_may_forget_an_account,
    what_is_in_the_cache_is_not_ordered_again,
    an_authority_may_find_another_gateway_of_the_cache,
    an_authority_may_want_an_account_elsewhere,
    an_authority_may_suggest_to_renew,
    a_brief_life_is_renewed_in_time,
    several_names_have_a_certificate_each,
    an_order_that_takes_long_survives_a_restart,
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
        self.authority.connect(&self.gateway, &host(), H1_ONLY).await.ok().as_ref().map(certificate)
    }

    async fn has_certificate(&self) {
        eventually("there is a certificate", async || self.shown().await.is_some()).await;
    }
}

async fn gateway(authority: &Authority, cache: &Path, challenge: Challenge) -> Gateway {
    let tls = authority.config(&[host()], cache, challenge);
    Gateway::start_with_config(|config| config.tls = Some(tls)).await
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
    let stream = Streaming::begin(scene.client().await.unwrap(), &upstream).await;

    scene.authority.allow(Life::Fresh);
    eventually("another certificate is shown", async || {
        let shown = scene.shown().await;
        assert!(shown.is_some(), "there is one all the time");
        shown != old
    })
    .await;
    assert_eq!(scene.authority.accounts(), 1, "the account is used again");

    stream.finish(&scene.gateway).await;
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
        assert_eq!(Some(certificate(&stream)), shown);
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

async fn an_authority_may_want_an_account_elsewhere(transport: Transport) {
    let service = Service::echo().await;
    let authority = Authority::start().await;
    authority.require("kid-1", b"secret");
    authority.allow(Life::Fresh);
    let cache = tempfile::tempdir().unwrap();
    let stranger = gateway(&authority, cache.path(), Challenge::TlsAlpn01).await;
    eventually("it is turned away, and comes again", async || authority.turned_away() > 1).await;
    assert_eq!((authority.accounts(), authority.orders()), (0, [0, 0]));
    drop(stranger);

    let key_file = cache.path().join("eab");
    fs::write(&key_file, "c2VjcmV0\n").unwrap();
    let mut tls = authority.config(&[host()], cache.path(), Challenge::TlsAlpn01);
    let external = ExternalAccount { key_id: "kid-1".to_owned(), key_file };
    tls.acme.as_mut().unwrap().external_account = Some(external);
    let gateway = Gateway::start_with_config(|config| config.tls = Some(tls)).await;
    authority.find(&gateway);
    let mut agent = Agent::start(transport, gateway.port(transport), AGENT, service.addr());
    agent.online().await;
    let scene = Scene { authority, cache, gateway, _agent: agent };
    scene.has_certificate().await;
    assert_eq!(scene.authority.accounts(), 1);
}

async fn an_authority_may_suggest_to_renew(transport: Transport) {
    let service = Service::echo().await;
    let scene = Scene::start(transport, service.addr(), Challenge::TlsAlpn01).await;
    scene.authority.suggest();
    scene.authority.allow(Life::Fresh);
    scene.has_certificate().await;
    let old = scene.shown().await;
    scene.authority.allow(Life::Fresh);
    eventually("another certificate is shown", async || scene.shown().await != old).await;
    let asked = scene.authority.asked_about();
    assert_eq!(scene.authority.replaced()[0], asked[0], "the order says what it replaces");
    assert_eq!(scene.authority.accounts(), 1);
}

async fn a_brief_life_is_renewed_in_time(transport: Transport) {
    let service = Service::echo().await;
    let scene = Scene::start(transport, service.addr(), Challenge::TlsAlpn01).await;
    scene.authority.allow(Life::Brief);
    scene.has_certificate().await;
    let old = scene.shown().await;
    scene.authority.allow(Life::Fresh);
    eventually("another certificate is shown", async || scene.shown().await != old).await;
    assert_eq!(scene.authority.orders(), [2, 0]);
}

async fn several_names_have_a_certificate_each(transport: Transport) {
    let service = Service::saying("well").await;
    let authority = Authority::start().await;
    let cache = tempfile::tempdir().unwrap();
    let names = [host(), format!("{OTHER_AGENT}.{DOMAIN}"), format!("away.{DOMAIN}")];
    for life in [Life::Fresh, Life::Short, Life::Fresh] {
        authority.allow(life);
    }
    let tls = authority.config(&names, cache.path(), Challenge::Http01);
    let gateway = Gateway::start_with_config(|config| config.tls = Some(tls)).await;
    authority.find(&gateway);
    let mut agent = Agent::start(transport, gateway.port(transport), AGENT, service.addr());
    agent.online().await;
    let shown =
        async |name: &str| authority.connect(&gateway, name, H1_ONLY).await.ok().as_ref().map(certificate);
    eventually("there are all", async || {
        let all = [shown(&names[0]).await, shown(&names[1]).await, shown(&names[2]).await];
        all.iter().all(Option::is_some)
    })
    .await;
    assert_eq!((authority.orders(), authority.accounts()), ([3, 0], 1));
    let before = [shown(&names[0]).await, shown(&names[1]).await, shown(&names[2]).await];
    assert!(before[0] != before[1] && before[1] != before[2]);
    // Only the one that is old is renewed.
    authority.allow(Life::Fresh);
    eventually("the second one is another", async || shown(&names[1]).await != before[1]).await;
    assert_eq!([shown(&names[0]).await, shown(&names[2]).await], [before[0].clone(), before[2].clone()]);
    let mut client = Wire::secure(authority.connect(&gateway, &host(), H1_ONLY).await.unwrap());
    assert_eq!(client.ask(&Request::get("/").to(AGENT)).await.body, b"well");
    for entry in files(cache.path()) {
        let mode = fs::metadata(&entry).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.display());
    }
}

/// All files in the one directory below `cache`.
fn files(cache: &Path) -> Vec<std::path::PathBuf> {
    let below = fs::read_dir(cache).unwrap().next().unwrap().unwrap().path();
    let files: Vec<_> = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.iter().any(|file| file.ends_with("account.json")));
    files
}

async fn an_order_that_takes_long_survives_a_restart(transport: Transport) {
    let service = Service::echo().await;
    let scene = Scene::start(transport, service.addr(), Challenge::TlsAlpn01).await;
    scene.authority.hold(true);
    scene.authority.allow(Life::Fresh);
    eventually("the authority takes its time", async || scene.authority.held() == 1).await;
    let Scene { authority, cache, gateway: first, .. } = scene;
    drop(first);
    authority.hold(false);
    let gateway = gateway(&authority, cache.path(), Challenge::TlsAlpn01).await;
    eventually("there is a certificate", async || {
        authority.connect(&gateway, &host(), H1_ONLY).await.is_ok()
    })
    .await;
    assert_eq!((authority.orders(), authority.accounts(), authority.looked().len()), ([1, 0], 1, 1));
}
