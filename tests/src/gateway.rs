use std::{net::SocketAddr, path::PathBuf};

use ::agent::Transport;
use ::gateway::{Addresses, Config, EdgeConfig, Gateway as Bound, Limits, Reactors, ServeError, Shutdown};
use tokio_util::task::AbortOnDropHandle;

use crate::{Metrics, Wire, credentials, eventually};

/// The domain under which the agents of every gateway are found.
pub const DOMAIN: &str = "tunnel.test";

/// A gateway on ports of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    addresses: Addresses,
    shutdown: Shutdown,
    task: AbortOnDropHandle<Result<(), ServeError>>,
}

impl Gateway {
    /// A gateway with its usual limits, which knows the agents of [`crate::credential`].
    pub async fn start() -> Self {
        Self::start_with(|_limits| {}).await
    }

    /// A gateway with limits of the scenario's choice.
    pub async fn start_with(adjust: impl FnOnce(&mut Limits)) -> Self {
        let mut limits = Limits::default();
        adjust(&mut limits);
        let config = config(limits, PathBuf::new());
        let bound = Bound::with_credentials(config.clone(), credentials::all()).unwrap();
        Self::run(bound, config)
    }

    /// A gateway that asks something of clients, see [`crate::edge`].
    pub async fn start_with_edge(edge: EdgeConfig) -> Self {
        let config = Config { edge, ..config(Limits::default(), PathBuf::new()) };
        let bound = Bound::with_credentials(config.clone(), credentials::all()).unwrap();
        Self::run(bound, config)
    }

    /// A gateway with a configuration of the scenario's choice.
    pub async fn start_as(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(Limits::default(), PathBuf::new());
        adjust(&mut config);
        let bound = Bound::with_credentials(config.clone(), credentials::all()).unwrap();
        Self::run(bound, config)
    }

    /// A gateway that follows a token file.
    pub async fn start_with_tokens(tokens: PathBuf) -> Self {
        let config = config(Limits::default(), tokens);
        Self::run(Bound::bind(config.clone()).unwrap(), config)
    }

    fn run(bound: Bound, config: Config) -> Self {
        let addresses = bound.addresses();
        let shutdown = Shutdown::default();
        let task = AbortOnDropHandle::new(tokio::spawn(bound.run(Reactors::current(), shutdown.clone())));
        Self { config, addresses, shutdown, task }
    }

    /// Kills the gateway and starts another one on the same ports.
    pub async fn restart(self) -> Self {
        let Self { mut config, addresses, task, .. } = self;
        task.abort();
        let _ = task.await; // cancelled, as it was told
        (config.http, config.grpc) = (addresses.http, addresses.grpc);
        (config.ws, config.admin) = (addresses.ws, addresses.admin);
        let mut bound = None;
        eventually("the ports are free again", async || {
            bound = Bound::with_credentials(config.clone(), credentials::all()).ok();
            bound.is_some()
        })
        .await;
        Self::run(bound.unwrap(), config)
    }

    /// Where clients connect.
    pub fn http(&self) -> SocketAddr {
        self.addresses.http
    }

    /// Where clients connect over TLS.
    ///
    /// # Panics
    /// If nobody can.
    pub fn https(&self) -> SocketAddr {
        self.addresses.https.unwrap()
    }

    /// Where agents connect that speak `transport`.
    pub fn port(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Grpc => self.addresses.grpc,
            Transport::WebSocket => self.addresses.ws,
        }
    }

    /// A new client connection.
    pub async fn client(&self) -> Wire {
        Wire::connect(self.addresses.http).await
    }

    /// What the gateway counts at this moment.
    pub async fn metrics(&self) -> Metrics {
        Metrics::read(self.addresses.admin).await
    }

    /// Waits until no request is in progress.
    pub async fn idle(&self) {
        eventually("no request in progress", async || self.metrics().await.in_flight() == 0).await;
    }

    /// Waits until `count` requests have ended in this way.
    pub async fn counted(&self, outcome: &str, count: u64) {
        let what = format!("{count} requests counted as {outcome}");
        eventually(&what, async || self.metrics().await.outcome(outcome) == count).await;
    }

    /// Waits until `count` agents are connected.
    pub async fn has_sessions(&self, count: u64) {
        let what = format!("{count} sessions");
        eventually(&what, async || self.metrics().await.sessions() == count).await;
    }

    /// Begins a shutdown.
    pub fn drain(&self) {
        self.shutdown.drain.cancel();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(self) -> Result<(), ServeError> {
        self.task.await.unwrap()
    }
}

fn config(limits: Limits, tokens: PathBuf) -> Config {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        http: anywhere,
        grpc: anywhere,
        ws: anywhere,
        admin: anywhere,
        domains: vec![DOMAIN.to_owned()],
        tokens,
        public_url: None,
        gateway_id: "gateway".to_owned(),
        audiences: Vec::new(),
        ws_origins: Vec::new(),
        limits,
        edge: EdgeConfig::default(),
        tls: None,
    }
}
