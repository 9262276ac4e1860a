//! A whole tunnel in one process, with nothing to set up: gateway, sample service and an agent per transport.

use std::{io, net::SocketAddr, sync::Arc};

use agent::{Event, GatewayTls, GatewayUrl, Observer, Transport, Upstream};
use cli::Shutdown;
use proto::{AgentId, Credential};
use session::Credentials;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{Config, Gateway, Limits, Reactors, ServeError, TlsConfig, sample, tokens};
use authority::Authority;
use check::Door;

mod authority;
mod check;

pub use authority::AuthorityError;
pub use check::{Check, CheckError};

/// The domain that resolves to this machine everywhere (RFC 6761, section 6.3).
const DOMAIN: &str = "localhost";
/// What a person's own agent is called in what a person is shown.
const JOINED: &str = "myapp";

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
    /// Public HTTPS, and TLS for agents as well, with a certificate that is made for this run. `None` is without.
    pub tls: Option<SocketAddr>,
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
    /// There are no certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// They cannot be used by an agent.
    #[error(transparent)]
    Ca(#[from] cli::pem::PemError),
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
    authority: Option<Authority>,
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
        let over_ws = AgentId::parse(&format!("{}-ws", options.agent_id)).map_err(DevError::AgentId)?;
        let joined = AgentId::parse(JOINED).map_err(DevError::AgentId)?;
        let tls =
            options.tls.map(|https| Ok((https, Authority::new(&[&options.agent_id, &over_ws, &joined])?)));
        let (https, authority) = tls.transpose().map_err(DevError::Authority)?.unzip();
        let tls = authority.as_ref().zip(https).map(|(authority, https)| authority.config(https));
        let gateway_tls = match &authority {
            Some(authority) => Some(GatewayTls::with_ca(&authority.ca_file())?),
            None => None,
        };
        let gateway =
            Gateway::with_credentials(config(&options, tls), Credentials::anyone_with(&credential))?;
        let addresses = gateway.addresses();

        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(DevError::Sample)?;
        let upstream = listener.local_addr().map_err(DevError::Sample)?;
        let ended = CancellationToken::new();
        let sample = AbortOnDropHandle::new(tokio::spawn(sample::serve(listener, ended.clone())));

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
            let config = agent_config(transport, addr, agent_id, &credential, upstream, gateway_tls.clone());
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
            authority,
            gateway,
            agents,
            _sample: sample,
            _ended: ended.drop_guard(),
        })
    }

    /// What a person needs to know, as text.
    pub fn banner(&self) -> String {
        use std::fmt::Write as _;
        let crate::Addresses { http, https, grpc, ws, admin } = self.addresses;
        let mut text = format!(
            "indranet gateway {}                     dev mode - this machine only\n",
            env!("CARGO_PKG_VERSION")
        );
        let _ = writeln!(text, "  http      http://{http}          agents   grpc {grpc} \u{b7} ws {ws}");
        if let Some(https) = https {
            let _ = writeln!(text, "  https     https://{https}         agents' ports speak TLS as well");
        }
        let _ = writeln!(text, "  metrics   http://{admin}/metrics");
        for service in &self.services {
            let _ = writeln!(text, "  sample    {}     over {}", service.url, service.transport.label());
        }
        let token = self.credential.reveal();
        let gateway = match &self.authority {
            None => format!("grpc://{grpc}"),
            Some(authority) => {
                let ca_file = authority.ca_file().display().to_string();
                let url = self.services.first().map_or("", |service| &service.url);
                let _ = writeln!(text, "  curl      curl --cacert {ca_file} {url}/");
                format!("grpcs://{grpc} --ca-file {ca_file}")
            }
        };
        let connect =
            format!("INDRANET_TOKEN={} agent-tunnel connect 3000 --gateway {gateway} --id {JOINED}", *token);
        let _ = writeln!(text, "\n  to join your own service on port 3000:\n  connect   {connect}");
        text
    }

    /// Makes one request over each transport, with TLS if the gateway speaks it.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn check(&self) -> Vec<Check> {
        let door = match (&self.authority, self.addresses.https) {
            (Some(authority), Some(https)) => Door { port: https, tls: Some(authority.trusting_client()) },
            _ => Door { port: self.addresses.http, tls: None },
        };
        let mut checks = Vec::new();
        for service in &self.services {
            let transport = service.transport.label();
            let host = format!("{}.{DOMAIN}", service.agent_id);
            checks.push(check::run(transport, &door, host).await);
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

fn config(options: &DevOptions, tls: Option<TlsConfig>) -> Config {
    let DevOptions { http, grpc, ws, admin, .. } = *options;
    Config { http, grpc, ws, admin, tls, ..Config::on_loopback("dev", DOMAIN) }
}

fn agent_config(
    transport: Transport,
    gateway: SocketAddr,
    agent_id: AgentId,
    credential: &Credential,
    upstream: SocketAddr,
    gateway_tls: Option<GatewayTls>,
) -> agent::Config {
    let mut url = GatewayUrl { tls: gateway_tls.is_some(), ..GatewayUrl::at(transport, gateway) };
    // An unspecified address listens on loopback as well.
    if gateway.ip().is_unspecified() {
        url.host = "127.0.0.1".to_owned();
    }
    agent::Config {
        gateway_tls: gateway_tls.unwrap_or_default(),
        max_retries: Some(3),
        // Nothing between here and there could break one of several.
        connections: 1,
        grace_period: Limits::default().terms.grace_period,
        ..agent::Config::new(Upstream::at(upstream), vec![url], agent_id, credential.clone())
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
