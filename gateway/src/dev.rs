//! A whole tunnel in one process, with nothing to set up: gateway, sample service and an agent per transport.

use std::{io, net::SocketAddr, sync::Arc};

use agent::{Event, GatewayUrl, Observer, Transport, Upstream};
use cli::Shutdown;
use proto::{AgentId, Credential};
use session::{AgentIdPattern, Credentials, Grant};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{Config, EdgeConfig, Gateway, Limits, Reactors, ServeError, sample, tokens};

mod check;

pub use check::{Check, CheckError};

/// The domain that resolves to this machine everywhere (RFC 6761, section 6.3).
const DOMAIN: &str = "localhost";

/// Where a development gateway listens, and under which name the sample service is found.
#[derive(Clone, Debug)]
pub struct DevOptions {
    /// Public HTTP.
    pub http: SocketAddr,
    /// Agents over gRPC.
    pub grpc: SocketAddr,
    /// Agents over WebSocket.
    pub ws: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// Id of the sample service's agent.
    pub agent_id: AgentId,
}

/// Why a development gateway does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// The gateway cannot start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The sample service cannot start.
    #[error("the sample service cannot listen on a loopback port")]
    Sample(#[source] io::Error),
    /// The system gives no random bytes.
    #[error(transparent)]
    Randomness(#[from] tokens::RandomnessError),
    /// The sample service needs a second name, `<id>-ws`.
    #[error("the agent id must leave room for a second one that ends in -ws")]
    AgentId(#[source] proto::InvalidAgentId),
    /// An agent inside this process gave up.
    #[error("the agent over {transport} gave up")]
    Agent {
        /// Label of its transport.
        transport: &'static str,
        /// Why.
        source: agent::RunError,
    },
}

/// A development tunnel whose agents are online.
pub struct Dev {
    addresses: crate::Addresses,
    services: Vec<Service>,
    credential: Credential,
    gateway: AbortOnDropHandle<Result<(), ServeError>>,
    agents: Vec<AbortOnDropHandle<Result<(), agent::RunError>>>,
    _sample: AbortOnDropHandle<()>,
    _ended: tokio_util::sync::DropGuard,
}

/// The sample service as one agent serves it.
#[derive(Clone, Debug)]
struct Service {
    agent_id: AgentId,
    transport: Transport,
    url: String,
}

impl Dev {
    /// Starts everything and waits until the agents are online.
    ///
    /// # Errors
    /// [`DevError`] names the part that does not start.
    ///
    /// # Cancel safety
    /// Dropping the future ends everything.
    pub async fn start(options: DevOptions, shutdown: Shutdown) -> Result<Self, DevError> {
        let credential = tokens::generate()?;
        let gateway = Gateway::with_credentials(config(&options), anyone_with(&credential))?;
        let addresses = gateway.addresses();

        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(DevError::Sample)?;
        let upstream = listener.local_addr().map_err(DevError::Sample)?;
        let ended = CancellationToken::new();
        let sample = AbortOnDropHandle::new(tokio::spawn(sample::serve(listener, ended.clone())));

        let over_ws = AgentId::parse(&format!("{}-ws", options.agent_id)).map_err(DevError::AgentId)?;
        let links = [
            (Transport::Grpc, addresses.grpc, options.agent_id.clone()),
            (Transport::WebSocket, addresses.ws, over_ws),
        ];
        let services: Vec<Service> = links
            .iter()
            .map(|(transport, _, agent_id)| {
                let url = gateway.public_urls(agent_id).swap_remove(0);
                Service { agent_id: agent_id.clone(), transport: *transport, url }
            })
            .collect();
        let gateway =
            AbortOnDropHandle::new(tokio::spawn(gateway.run(Reactors::current(), shutdown.clone())));
        let mut agents = Vec::new();
        for (transport, addr, agent_id) in links {
            let config = agent_config(transport, addr, agent_id, &credential, upstream);
            agents.push(
                online(config, &shutdown)
                    .await
                    .map_err(|source| DevError::Agent { transport: transport.label(), source })?,
            );
        }
        Ok(Self {
            addresses,
            services,
            credential,
            gateway,
            agents,
            _sample: sample,
            _ended: ended.drop_guard(),
        })
    }

    /// What a person needs to know, as text.
    pub fn banner(&self) -> String {
        use std::fmt::Write as _;
        let crate::Addresses { http, grpc, ws, admin, .. } = self.addresses;
        let mut text = format!(
            "indranet gateway {}                     dev mode - this machine only\n",
            env!("CARGO_PKG_VERSION")
        );
        let _ = writeln!(text, "  http      http://{http}          agents   grpc {grpc} \u{b7} ws {ws}");
        let _ = writeln!(text, "  metrics   http://{admin}/metrics");
        for service in &self.services {
            let _ = writeln!(text, "  sample    {}     over {}", service.url, service.transport.label());
        }
        let token = self.credential.reveal();
        let connect =
            format!("INDRANET_TOKEN={} agent-tunnel connect 3000 --gateway grpc://{grpc} --id myapp", *token);
        let _ = writeln!(text, "\n  to join your own service on port 3000:\n  connect   {connect}");
        text
    }

    /// Makes one request over each transport.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn check(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        for service in &self.services {
            let transport = service.transport.label();
            let host = format!("{}.{DOMAIN}", service.agent_id);
            checks.push(check::run(transport, self.addresses.http, &host).await);
        }
        checks
    }

    /// Serves until the shutdown that [`Dev::start`] was given.
    ///
    /// # Errors
    /// [`DevError`] if the gateway or an agent ends before.
    pub async fn run(mut self) -> Result<(), DevError> {
        if let Ok(ended) = (&mut self.gateway).await {
            ended?;
        }
        for agent in self.agents {
            let _ = agent.await; // its gateway is gone, and so is its reason to be
        }
        Ok(())
    }
}

fn config(options: &DevOptions) -> Config {
    Config {
        http: options.http,
        grpc: options.grpc,
        ws: options.ws,
        admin: options.admin,
        domains: vec![DOMAIN.to_owned()],
        tokens: std::path::PathBuf::new(),
        public_url: None,
        gateway_id: "dev".to_owned(),
        audiences: Vec::new(),
        ws_origins: Vec::new(),
        limits: Limits::default(),
        edge: EdgeConfig::default(),
        tls: None,
    }
}

fn anyone_with(credential: &Credential) -> Credentials {
    let grant = Grant { secret: credential.secret.clone(), agent_ids: vec![AgentIdPattern::Any] };
    [(credential.token.clone(), grant)].into_iter().collect()
}

fn agent_config(
    transport: Transport,
    gateway: SocketAddr,
    agent_id: AgentId,
    credential: &Credential,
    upstream: SocketAddr,
) -> agent::Config {
    // An unspecified address listens on loopback as well.
    let host = if gateway.ip().is_unspecified() { "127.0.0.1".to_owned() } else { gateway.ip().to_string() };
    let upstream = Upstream::http(upstream.ip().to_string(), upstream.port());
    let gateways = vec![GatewayUrl { transport, tls: false, host, port: gateway.port() }];
    agent::Config {
        max_retries: Some(3),
        grace_period: Limits::default().grace_period,
        ..agent::Config::new(upstream, gateways, agent_id, credential.clone())
    }
}

/// Starts an agent and waits until it is online.
async fn online(
    config: agent::Config,
    shutdown: &Shutdown,
) -> Result<AbortOnDropHandle<Result<(), agent::RunError>>, agent::RunError> {
    let (online, mut heard) = mpsc::unbounded_channel();
    let observer: Observer = Arc::new(move |event| {
        if let Event::Online { .. } = event {
            let _ = online.send(()); // only the first one is waited for
        }
    });
    let mut agent = AbortOnDropHandle::new(tokio::spawn(agent::run(config, observer, shutdown.clone())));
    tokio::select! {
        _ = heard.recv() => {}
        Ok(Err(error)) = &mut agent => return Err(error),
    }
    Ok(agent)
}
