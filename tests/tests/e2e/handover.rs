//! A newer gateway takes over from an older one on the same ports, and gateways that end: no client notices.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use std::time::Duration;

use bytes::Bytes;
use gateway::TlsConfig;
use rustls::pki_types::CertificateDer;
use tests::{
    AGENT, Agent, DOMAIN, Gateway, H1_ONLY, H2, Pki, Request, Secure, Service, Transport, Tunnel, Upstream,
    Wire, eventually, over_every_transport,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

over_every_transport![
    no_request_is_lost_when_newer_gateways_take_over,
    what_is_in_progress_at_the_older_gateway_ends_there,
    an_heir_that_dies_leaves_everything_to_the_older_gateway,
    an_end_right_after_the_heirs_start_waits_for_it,
    a_gateway_that_ends_answers_who_asks_meanwhile,
    pipelined_requests_that_meet_the_end_are_answered,
    a_connection_that_rests_is_closed_in_the_end,
    a_port_of_tls_is_handed_over_with_its_clients,
    certificates_may_come_with_an_heir,
    links_that_are_old_are_replaced_without_a_loss,
    connections_over_the_bound_are_closed_at_once,
];

/// A tunnel whose gateway hands over.
async fn tunnel(transport: Transport, service: &Service) -> Tunnel {
    let gateway = Gateway::start_shared().await;
    let mut agent = Agent::start(transport, gateway.port(transport), AGENT, service.addr());
    agent.online().await;
    Tunnel { gateway, agent }
}

/// Clients that ask until they are told to stop, and count.
struct Load {
    stop: watch::Sender<bool>,
    served: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(gateway: &Gateway) -> Self {
        let http = gateway.http();
        Self::over(move || Wire::connect(http))
    }

    /// The same over TLS.
    fn on_tls(gateway: &Gateway, pki: &Arc<Pki>) -> Self {
        let (https, pki) = (gateway.https(), Arc::clone(pki));
        Self::over(move || {
            let pki = Arc::clone(&pki);
            async move { Wire::secure(pki.connect_to(https, &host(), H1_ONLY).await.unwrap()) }
        })
    }

    /// Half of the clients keep their connections for as long as they may, the others never.
    fn over<F>(connect: impl Fn() -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Wire> + Send,
    {
        let (stop, stopped) = watch::channel(false);
        let served = Arc::new(AtomicUsize::new(0));
        let clients = (0..6).map(|number| {
            let (stopped, served, connect) = (stopped.clone(), Arc::clone(&served), connect.clone());
            tokio::spawn(async move {
                let mut kept = None;
                while !*stopped.borrow() {
                    let mut client = match kept.take() {
                        Some(client) => client,
                        None => connect().await,
                    };
                    let response = client.ask(&Request::get("/")).await;
                    assert_eq!(response.head.status(), 200);
                    served.fetch_add(1, SeqCst);
                    if number % 2 == 0 && response.head.value("connection") != Some("close") {
                        kept = Some(client);
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        });
        let clients = clients.collect();
        Self { stop, served, clients }
    }

    /// Waits for some more answers.
    async fn goes_on(&self) {
        let wanted = self.served.load(SeqCst) + 60;
        eventually("requests are answered", async || self.served.load(SeqCst) >= wanted).await;
    }

    /// Stops, and fails if any request has.
    async fn end(self) {
        self.stop.send(true).unwrap();
        for client in self.clients {
            client.await.unwrap();
        }
    }
}

async fn no_request_is_lost_when_newer_gateways_take_over(transport: Transport) {
    let service = Service::saying("served").await;
    let Tunnel { mut gateway, agent: _agent } = tunnel(transport, &service).await;
    let load = Load::on(&gateway);
    load.goes_on().await;
    for _ in 0..5 {
        let heir = gateway.heir().await;
        heir.ready().await;
        load.goes_on().await;
        gateway.drain();
        gateway.ended().await.unwrap();
        gateway = heir;
        load.goes_on().await;
    }
    load.end().await;
}

async fn what_is_in_progress_at_the_older_gateway_ends_there(transport: Transport) {
    let upstream = Upstream::start().await;
    let gateway = Gateway::start_shared().await;
    let mut agent = Agent::start(transport, gateway.port(transport), AGENT, upstream.addr());
    agent.online().await;
    let (mut download, mut upload) = (gateway.client().await, gateway.client().await);
    download.begin(&Request::get("/")).await;
    let mut downloading = upstream.accept().await;
    downloading.request().await;
    downloading.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let head = download.reader.head().await;
    upload
        .send(format!("POST / HTTP/1.1\r\nhost: {AGENT}.tunnel.test\r\ncontent-length: 8\r\n\r\nhalf"))
        .await;
    let mut uploading = upstream.accept().await;

    let heir = gateway.heir().await;
    agent.online().await;
    heir.ready().await;
    gateway.drain();
    upload.send("half").await;
    assert_eq!(uploading.request().await.body, b"halfhalf");
    uploading.answer("whole").await;
    assert_eq!(upload.reader.response(&Request::post("/")).await.body, b"whole");
    downloading.send("world").await;
    assert_eq!(download.reader.body(&head).await.unwrap().0, b"helloworld");
    drop((download, upload));
    gateway.ended().await.unwrap();
}

async fn an_heir_that_dies_leaves_everything_to_the_older_gateway(transport: Transport) {
    let service = Service::saying("served").await;
    let Tunnel { gateway, mut agent } = tunnel(transport, &service).await;
    for _ in 0..3 {
        let heir = gateway.heir().await;
        heir.ready().await;
        agent.online().await;
        assert_eq!(heir.client().await.ask(&Request::get("/")).await.body, b"served");
        drop(heir);
        agent.online().await;
        gateway.ready().await;
        assert_eq!(gateway.client().await.ask(&Request::get("/")).await.body, b"served");
    }
}

async fn an_end_right_after_the_heirs_start_waits_for_it(transport: Transport) {
    let service = Service::saying("served").await;
    let Tunnel { gateway, agent: _agent } = tunnel(transport, &service).await;
    let load = Load::on(&gateway);
    load.goes_on().await;
    let (heir, ()) = tokio::join!(biased; gateway.heir(), async { gateway.drain() });
    gateway.ended().await.unwrap();
    load.goes_on().await;
    load.end().await;
    heir.ready().await;
}

async fn a_gateway_that_ends_answers_who_asks_meanwhile(transport: Transport) {
    let service = Service::echo().await;
    let long = |limits: &mut gateway::Limits| limits.drain_idle = Duration::from_secs(20);
    let Tunnel { gateway, mut agent } = Tunnel::start_with(transport, service.addr(), long).await;
    let mut kept = gateway.client().await;
    assert_eq!(kept.ask(&Request::get("/")).await.head.value("connection"), None);
    let mut silent = gateway.client().await;
    let mut h2 = H2::connect(gateway.http()).await;
    h2.ask(&Request::get("/")).await.unwrap();
    let (pieces, body) = mpsc::channel(1);
    let uploading = Request::post("/");
    let upload = tokio::spawn(async move { h2.stream(&uploading, body).await });
    pieces.send(Bytes::from_static(b"half")).await.unwrap();
    eventually("the upload is in progress", async || gateway.metrics().await.in_flight() == 1).await;

    end_announced(&gateway, &mut agent).await;
    for client in [&mut kept, &mut silent] {
        let last = client.ask(&Request::get("/")).await;
        assert_eq!((last.head.status(), last.head.value("connection")), (200, Some("close")));
        client.closed().await;
    }
    pieces.send(Bytes::from_static(b"half")).await.unwrap();
    drop(pieces);
    assert_eq!(upload.await.unwrap().unwrap().body, b"halfhalf");
    drop((kept, silent));
    gateway.ended().await.unwrap();
}

/// Tells a gateway to end, and waits until its agent has heard of it.
async fn end_announced(gateway: &Gateway, agent: &mut Agent) {
    gateway.drain();
    agent.event(|event| matches!(event, agent::Event::Connecting { .. }).then_some(())).await;
}

async fn pipelined_requests_that_meet_the_end_are_answered(transport: Transport) {
    let upstream = Upstream::start().await;
    let Tunnel { gateway, mut agent } = Tunnel::start(transport, upstream.addr()).await;
    let mut client = gateway.client().await;
    let two: Vec<u8> = ["/one", "/two"].iter().flat_map(|target| Request::get(target).bytes()).collect();
    client.send(two).await;
    let mut service = upstream.accept().await;
    service.request().await;
    end_announced(&gateway, &mut agent).await;
    service.answer("one").await;
    assert_eq!(client.reader.response(&Request::get("/one")).await.body, b"one");
    service.request().await;
    service.answer("two").await;
    let last = client.reader.response(&Request::get("/two")).await;
    assert_eq!((&last.body[..], last.head.value("connection")), (&b"two"[..], Some("close")));
    drop(client);
    gateway.ended().await.unwrap();
}

async fn a_connection_that_rests_is_closed_in_the_end(transport: Transport) {
    let service = Service::saying("served").await;
    let rest = Duration::from_millis(100);
    let tunnel = Tunnel::start_with(transport, service.addr(), |limits| limits.drain_idle = rest).await;
    let mut client = tunnel.client().await;
    client.ask(&Request::get("/")).await;
    tunnel.gateway.drain();
    client.closed().await;
    tunnel.gateway.ended().await.unwrap();
}

async fn a_port_of_tls_is_handed_over_with_its_clients(transport: Transport) {
    let pki = Arc::new(Pki::new());
    let [first, second] = ["first", "second"].map(|file| {
        let issued = pki.issue(file, &[DOMAIN, &host(), "127.0.0.1"]);
        (pki.config(&[&issued]).certificates, issued.der)
    });
    let tls = TlsConfig { certificates: first.0, ..pki.config(&[]) };
    let service = Service::echo().await;
    let gateway = Gateway::start_shared_with(|config| config.tls = Some(tls)).await;
    let mut config = Agent::config(transport, gateway.port(transport), AGENT, service.addr());
    config.gateways[0].tls = true;
    let mut agent = Agent::start_with(agent::Config { gateway_tls: pki.trust(), ..config });
    agent.online().await;
    let secure = async || pki.connect_to(gateway.https(), &host(), H1_ONLY).await.unwrap();
    let before = secure().await;
    assert_eq!(shown(&before), first.1);
    let mut client = Wire::secure(before);
    client.send(format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: 10\r\n\r\nhello", host())).await;
    let head = client.reader.head().await;
    let load = Load::on_tls(&gateway, &pki);
    load.goes_on().await;

    // Each process reads its certificates itself.
    let heir = gateway
        .heir_with(|config| {
            config.tls = config.tls.take().map(|tls| TlsConfig { certificates: second.0, ..tls });
        })
        .await;
    heir.ready().await;
    assert_eq!(heir.https(), gateway.https());
    load.goes_on().await;
    gateway.drain();
    let after = secure().await;
    assert_eq!(shown(&after), second.1, "the heir is there now");
    load.goes_on().await;
    client.send("world").await;
    assert_eq!(client.reader.body(&head).await.unwrap().0, b"helloworld");
    drop(client);
    gateway.ended().await.unwrap();
    load.goes_on().await;
    load.end().await;
}

async fn certificates_may_come_with_an_heir(transport: Transport) {
    let pki = Arc::new(Pki::new());
    let usual = pki.usual();
    let tls = TlsConfig { agents: false, ..pki.config(&[&usual]) };
    let service = Service::saying("served").await;
    let Tunnel { gateway, agent: _agent } = tunnel(transport, &service).await;
    let load = Load::on(&gateway);
    load.goes_on().await;
    let heir = gateway.heir_with(|config| config.tls = Some(tls)).await;
    heir.ready().await;
    assert_eq!(heir.http(), gateway.http());
    let secure = Load::on_tls(&heir, &pki);
    secure.goes_on().await;
    gateway.drain();
    gateway.ended().await.unwrap();
    load.goes_on().await;
    secure.goes_on().await;
    load.end().await;
    secure.end().await;
}

fn host() -> String {
    format!("{AGENT}.{DOMAIN}")
}

/// The certificate that the gateway shows.
fn shown(stream: &Secure) -> CertificateDer<'static> {
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn links_that_are_old_are_replaced_without_a_loss(transport: Transport) {
    let service = Service::saying("served").await;
    let age = Duration::from_millis(200);
    let Tunnel { gateway, mut agent } =
        Tunnel::start_with(transport, service.addr(), |limits| limits.terms.max_link_age = age).await;
    let load = Load::on(&gateway);
    for _ in 0..3 {
        agent.online().await;
        load.goes_on().await;
    }
    load.end().await;
    // The replaced ones end.
    eventually("few links are left", async || gateway.metrics().await.sessions() <= 2).await;
}

async fn connections_over_the_bound_are_closed_at_once(transport: Transport) {
    let service = Service::saying("served").await;
    let tunnel = Tunnel::start_with(transport, service.addr(), |limits| {
        (limits.max_connections, limits.max_connections_per_address) = (3, 2);
    })
    .await;
    let mut kept = [tunnel.client().await, tunnel.client().await];
    for client in &mut kept {
        assert_eq!(client.ask(&Request::get("/")).await.body, b"served");
    }
    tunnel.client().await.closed().await;
    let metrics = tunnel.gateway.metrics().await;
    assert_eq!((metrics.connections("http"), metrics.refused("http", "per_address")), (2, 1));
    assert_eq!(kept[0].ask(&Request::get("/")).await.body, b"served");
    drop(kept);
    eventually("there is room again", async || tunnel.gateway.metrics().await.connections("http") == 0).await;
    assert_eq!(tunnel.ask(&Request::get("/")).await.body, b"served");
}
