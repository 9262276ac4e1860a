use std::{net::SocketAddr, path::PathBuf};

use ::agent::Transport;
use ::gateway::{
    Addresses, Config, EdgeConfig, Gateway as Bound, Limits, Reactors, Readiness, ServeError, Shutdown,
};
use session::LobbyLimits;
use tokio_util::task::AbortOnDropHandle;

use crate::{Metrics, Wire, credentials, eventually};

/// The domain under which the agents of every gateway are found.
pub const DOMAIN: &str = "tunnel.test";

/// A gateway on ports of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    addresses: Addresses,
    readiness: Readiness,
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
        let mut limits = patient();
        adjust(&mut limits);
        let config = config(limits, PathBuf::new());
        let bound = Bound::with_credentials(config.clone(), credentials::all()).unwrap();
        Self::run(bound, config)
    }

    /// A gateway whose ports a newer one can take over.
    pub async fn start_shared() -> Self {
        Self::start_shared_with(|_config| {}).await
    }

    /// The same, with a configuration of the scenario's choice.
    pub async fn start_shared_with(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { reuse_port: true, ..config(Limits::default(), PathBuf::new()) };
        adjust(&mut config);
        let bound = Bound::with_credentials(config.clone(), credentials::all()).unwrap();
        let gateway = Self::run(bound, config);
        gateway.ready().await;
        gateway
    }

    /// A newer gateway on the same ports, which takes over from this one.
    pub async fn heir(&self) -> Self {
        self.heir_with(|_config| {}).await
    }

    /// The same, with a configuration that is another one but for the ports.
    pub async fn heir_with(&self, adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.settled();
        adjust(&mut config);
        Self::run(Bound::beside(config.clone(), credentials::all()).await.unwrap(), config)
    }

    /// The configuration with the ports that were chosen.
    fn settled(&self) -> Config {
        let Addresses { http, https, grpc, ws, admin } = self.addresses;
        let mut config = Config { http, grpc, ws, admin, ..self.config.clone() };
        if let (Some(tls), Some(https)) = (&mut config.tls, https) {
            tls.https = https;
        }
        config
    }

    /// A gateway that asks something of clients, see [`crate::edge`].
    pub async fn start_with_edge(edge: EdgeConfig) -> Self {
        let config = Config { edge, ..config(patient(), PathBuf::new()) };
        let bound = Bound::with_credentials(config.clone(), credentials::all()).unwrap();
        Self::run(bound, config)
    }

    /// A gateway with a configuration of the scenario's choice, which knows the agents of [`crate::credential`].
    pub async fn start_with_config(adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(patient(), PathBuf::new());
        adjust(&mut config);
        let bound = Bound::with_credentials(config.clone(), credentials::all()).unwrap();
        Self::run(bound, config)
    }

    /// A gateway that follows a token file with tokens that are derived from the key in `master_key_file`.
    pub async fn start_with_master_key(tokens: PathBuf, master_key_file: PathBuf) -> Self {
        let config = Config { master_key_file: Some(master_key_file), ..config(patient(), tokens) };
        Self::run(Bound::bind(config.clone()).unwrap(), config)
    }

    /// A gateway that follows a token file.
    pub async fn start_with_tokens(tokens: PathBuf) -> Self {
        let config = config(patient(), tokens);
        Self::run(Bound::bind(config.clone()).unwrap(), config)
    }

    /// The same, with a configuration of the scenario's choice.
    pub async fn start_with_tokens_and(tokens: PathBuf, adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(patient(), tokens);
        adjust(&mut config);
        Self::run(Bound::bind(config.clone()).unwrap(), config)
    }

    fn run(bound: Bound, config: Config) -> Self {
        let (addresses, readiness) = (bound.addresses(), bound.readiness());
        let shutdown = Shutdown::default();
        let task = AbortOnDropHandle::new(tokio::spawn(bound.run(Reactors::current(), shutdown.clone())));
        Self { config, addresses, readiness, shutdown, task }
    }

    /// Kills the gateway and starts another one on the same ports.
    pub async fn restart(self) -> Self {
        let config = self.settled();
        self.task.abort();
        let _ = self.task.await; // cancelled, as it was told
        let mut bound = None;
        eventually("the ports are free again", async || {
            bound = Bound::with_credentials(config.clone(), credentials::all()).ok();
            bound.is_some()
        })
        .await;
        Self::run(bound.unwrap(), config)
    }

    /// Waits until it serves clients.
    pub async fn ready(&self) {
        self.readiness.ready().await;
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

/// All agents of a scenario have one address, and some are there to fail.
fn patient() -> Limits {
    let mut limits = Limits::default();
    limits.lobby.failures = LobbyLimits::failures(1000);
    limits
}

fn config(limits: Limits, tokens: PathBuf) -> Config {
    Config { limits, tokens, ..Config::on_loopback("gateway", DOMAIN) }
}
