use std::{
    io,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use cli::{Shutdown, pem::PemError};
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use proto::AgentId;
use session::{Acceptor, Authenticator, Credentials, Dispatcher, Lobby, Registry};
use tokio::net::TcpStream;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::info;
use ws_bridge::server::Bridge;

use crate::{
    ActivationError, Addresses, CacheError, Config, Limits, Reactors, TokenFileError,
    admin::Admin,
    agents::{AgentPort, WebSocket, http1_builder},
    audit,
    connections::{Connection, Connections, run},
    descriptors,
    door::Doors,
    edge::Edge,
    ending::Ending,
    grpc::GrpcService,
    handover::{Elder, Predecessor},
    ingress::{Ingress, h1::Patience, public},
    metrics::Metrics,
    notify,
    ports::Ports,
    reload::{self, Certificates, Tokens},
    route::Domains,
    rulebook::{self, Rulebook},
    stage::{Life, Readiness},
    tls::{Port, Security, Tls},
};

/// Why a gateway does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {addr} for {name}: is another process there?")]
    Bind {
        /// The flag that names the address, without its dashes.
        name: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Sockets that the system has opened cannot be used.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// The token file cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// A certificate or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] PemError),
    /// The directory for certificates that are ordered cannot be used.
    #[error(transparent)]
    Acme(#[from] CacheError),
    /// The system gives no more threads.
    #[error("cannot start threads: is --threads too large?")]
    Threads(#[source] io::Error),
    /// The descriptors inside this program are broken.
    #[error("gRPC reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl ServeError {
    /// Whether it is a file, a directory or a socket that this gateway was given, and no other attempt mends it.
    pub fn is_of_configuration(&self) -> bool {
        matches!(self, Self::Activation(_) | Self::Tokens(_) | Self::Tls(_) | Self::Acme(_))
    }
}

/// A gateway whose ports are open and whose credentials are read, but which does not answer yet.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    authenticator: Arc<Authenticator>,
    ports: Ports,
    predecessor: Option<Predecessor>,
    life: Life,
    /// The certificates and keys to follow.
    certificates: Option<Certificates>,
    /// The token file to follow.
    tokens: Option<Tokens>,
}

/// Runs a gateway on `threads` threads, one of which is the caller's, until `shutdown`.
///
/// # Errors
/// [`ServeError`] if it cannot start.
pub async fn serve(config: Config, threads: NonZeroUsize, shutdown: Shutdown) -> Result<(), ServeError> {
    descriptors::raise();
    let gateway = Gateway::open(config).await?;
    let reactors = Reactors::start(threads).map_err(ServeError::Threads)?;
    gateway.run(reactors, shutdown).await
}

impl Gateway {
    /// Reads the credentials and opens the ports.
    ///
    /// # Errors
    /// [`ServeError`] names what is not to be had.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bind(config: Config) -> Result<Self, ServeError> {
        let (credentials, tokens) = reload::read(config.tokens.clone(), config.master_key_file.as_deref())?;
        Ok(Self { tokens: Some(tokens), ..Self::with_credentials(config, credentials)? })
    }

    /// Opens the ports and lives on `credentials`; there is no token file.
    ///
    /// # Errors
    /// [`ServeError::Bind`], [`ServeError::Tls`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_credentials(config: Config, credentials: Credentials) -> Result<Self, ServeError> {
        let began = link::now();
        let ports = Ports::bind(&config)?;
        Self::on(ports, config, credentials, began)
    }

    /// Reads the credentials, and takes over the ports of an older process or those that the system has opened. Opens what
    /// neither has.
    ///
    /// # Errors
    /// [`ServeError`] names what is not to be had.
    ///
    /// # Cancel safety
    /// Dropping the future leaves everything to the older process.
    pub async fn open(config: Config) -> Result<Self, ServeError> {
        let began = link::now();
        let (credentials, followed) = reload::read(config.tokens.clone(), config.master_key_file.as_deref())?;
        if let Some(ports) = Ports::activated(&config)? {
            return Ok(Self { tokens: Some(followed), ..Self::on(ports, config, credentials, began)? });
        }
        Ok(Self { tokens: Some(followed), ..Self::beside(config, credentials).await? })
    }

    /// Takes over the ports of an older process and lives on `credentials`; opens them if there is none.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    ///
    /// # Cancel safety
    /// Dropping the future leaves everything to the older process.
    pub async fn beside(config: Config, credentials: Credentials) -> Result<Self, ServeError> {
        let began = link::now();
        let older = if config.reuse_port { Ports::inherit(&config).await } else { None };
        match older {
            Some((ports, older)) => {
                Ok(Self { predecessor: Some(older), ..Self::on(ports, config, credentials, began)? })
            }
            None => Self::with_credentials(config, credentials),
        }
    }

    fn on(
        ports: Ports,
        config: Config,
        credentials: Credentials,
        began: Instant,
    ) -> Result<Self, ServeError> {
        let authenticator = Arc::new(Authenticator::new(credentials, config.audiences.clone(), began));
        if let Some(acme) = config.tls.as_ref().and_then(|tls| tls.acme.as_ref()) {
            acme.cache().prepare()?;
        }
        let certificates = config.tls.clone().map(|tls| Certificates::read(tls, config.hosts()));
        let certificates = certificates.transpose()?;
        let life = Life::default();
        Ok(Self { config, authenticator, ports, predecessor: None, life, certificates, tokens: None })
    }

    /// Where it listens, with the ports that the system chose where it was asked to.
    pub fn addresses(&self) -> Addresses {
        self.ports.addresses
    }

    /// Tells when it takes clients.
    pub fn readiness(&self) -> Readiness {
        self.life.readiness()
    }

    /// The URLs under which an agent will be reachable.
    pub fn public_urls(&self, agent_id: &AgentId) -> Vec<String> {
        let (config, hosts) = (&self.config, self.config.edge.policies.hosts());
        rulebook::public_urls(config, hosts, self.ports.addresses, agent_id)
    }

    /// Answers on `reactors` until `shutdown`. Its first phase stops accepting, tells agents to go elsewhere and lets requests
    /// end, for as long as the grace period lasts; its second ends everything at once.
    ///
    /// # Errors
    /// [`ServeError::Reflection`].
    pub async fn run(self, reactors: Reactors, shutdown: Shutdown) -> Result<(), ServeError> {
        let Self { config, authenticator, ports, predecessor, life, certificates, tokens } = self;
        let Shutdown { drain, abort } = shutdown;
        let addresses = ports.addresses;
        let tls = certificates.as_ref().map(|certificates| Arc::clone(&certificates.tls));
        let core = Core::new(&config, authenticator, addresses, tls.clone(), drain.clone());
        let Core { registry, metrics, edge, acceptor, ingress } = &core;
        let (tunnel, health) = GrpcService::new(acceptor.clone(), Arc::clone(edge)).await?;
        let doors = Doors { ports: &ports, life: &life, metrics: &metrics.connections };
        let (http_door, https_door) = doors.of_clients(&config.limits, edge);
        let [grpc_door, ws_door, admin_door] = doors.of_others();
        let operator =
            Arc::new(Admin { metrics: Arc::clone(metrics), life: life.clone(), draining: drain.clone() });

        // Whatever is left when this function returns ends with it.
        let ended = CancellationToken::new();
        let _ended = ended.clone().drop_guard();
        let [clients, agents] = [reactors.clone(), reactors].map(Connections::new);
        let operators = Connections::new(Reactors::current());
        let bridge = Arc::new(Bridge::new(acceptor.clone(), config.ws_origins.clone(), ended.clone()));
        let header_timeout = config.limits.header_timeout;
        let lobby = Lobby::new(config.limits.lobby);
        let patience = patience(&config.limits);
        let serve_clients = |security: Security| {
            let ingress = Arc::clone(ingress);
            move |stream, peer, pause| {
                let client = ingress.edge.client(peer, "http");
                let (security, ingress) = (security.clone(), Arc::clone(&ingress));
                public::serve(stream, client, security, ingress, patience, pause)
            }
        };
        let over_grpc = AgentPort {
            lobby: lobby.clone(),
            census: Arc::clone(&grpc_door.census),
            security: Security::of_agents(tls.as_ref(), Port::Grpc),
            protocol: tunnel,
        };
        let over_ws = AgentPort {
            lobby,
            census: Arc::clone(&ws_door.census),
            security: Security::of_agents(tls.as_ref(), Port::WebSocket),
            protocol: WebSocket { bridge: Arc::clone(&bridge), edge: Arc::clone(edge), header_timeout },
        };
        let [plain, secure] = Security::of_clients(tls.as_ref());
        let accepting = [
            Some(clients.accept(http_door, serve_clients(plain))),
            https_door.map(|door| clients.accept(door, serve_clients(secure))),
            Some(agents.accept(grpc_door, move |stream, peer, pause| over_grpc.serve(stream, peer, pause))),
            Some(agents.accept(ws_door, move |stream, peer, pause| over_ws.serve(stream, peer, pause))),
        ];
        let _operating = operators.accept(admin_door, move |stream, peer, pause| {
            run(admin_http1(stream, header_timeout, Arc::clone(&operator)), peer, pause.answered())
        });
        let _followed = core.follow(&config, tokens, certificates);
        let mut ending = Ending {
            life: life.clone(),
            ports: Some(ports),
            predecessor,
            elder: None,
            shared: config.reuse_port,
            rest: config.limits.drain_idle.min(config.limits.terms.grace_period),
            grace_period: config.limits.terms.grace_period,
            accepting: accepting.into_iter().flatten().collect(),
            clients,
            agents,
            bridge,
            acceptor: acceptor.clone(),
            health,
        };
        if let Some(predecessor) = &mut ending.predecessor {
            tokio::select! {
                () = predecessor.succeed(registry) => {}
                () = drain.cancelled() => {}
            }
        }
        ending.predecessor = ending.predecessor.take().map(Predecessor::keep);
        if config.reuse_port
            && let Some(ports) = ending.ports.clone()
            && let Some(name) = ports.name()
        {
            let pauses = ending.clients.pauses().clone();
            let (acceptor, registry) = (acceptor.clone(), Arc::clone(registry));
            let elder = Elder { name, ports, life: life.clone(), acceptor, registry, pauses };
            ending.elder = Some(elder.begin());
        }
        life.on_ready();
        let https = addresses.https.map(tracing::field::display);
        info!(http = %addresses.http, https, grpc = %addresses.grpc, ws = %addresses.ws, admin = %addresses.admin, domains = ?config.domains, "gateway ready");
        let _watchdog = notify::ready();

        drain.cancelled().await;
        notify::stopping();
        ending.run_until(&abort).await;
        Ok(())
    }
}

/// What the ports have in common.
struct Core {
    registry: Arc<Registry>,
    metrics: Arc<Metrics>,
    edge: Arc<Edge>,
    acceptor: Acceptor,
    ingress: Arc<Ingress>,
}

impl Core {
    fn new(
        config: &Config,
        authenticator: Arc<Authenticator>,
        addresses: Addresses,
        tls: Option<Arc<Tls>>,
        draining: CancellationToken,
    ) -> Self {
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let registry = Arc::new(Registry::new(config.limits.offline_grace, seed));
        let metrics = Arc::new(Metrics::new(Arc::clone(&registry), tls.clone(), config.audit.clone()));
        let edge = Arc::new(Edge::new(&config.edge, rulebook::https_port(config, addresses)));
        let acceptor = Acceptor::new(
            Arc::clone(&authenticator),
            Arc::clone(&registry),
            metrics.sessions.clone(),
            config.gateway_id.clone(),
            config.limits.terms.clone(),
            Box::new(Rulebook::new(config, &edge, addresses)),
        );
        let ingress = Arc::new(Ingress {
            domains: Domains::new(&config.domains),
            edge: Arc::clone(&edge),
            pages: config.edge.pages,
            challenges: tls.as_ref().map(|tls| Arc::clone(tls.challenges())),
            dispatcher: Dispatcher::new(Arc::clone(&registry), metrics.sessions.clone()),
            authenticator,
            metrics: Arc::clone(&metrics.requests),
            draining,
            uploads: TaskTracker::new(),
        });
        Self { registry, metrics, edge, acceptor, ingress }
    }

    /// Has what was read from files be as new as they are, for as long as the tasks live.
    fn follow(
        &self,
        config: &Config,
        tokens: Option<Tokens>,
        certificates: Option<Certificates>,
    ) -> Vec<AbortOnDropHandle<()>> {
        let mut tasks = Vec::new();
        if let Some(file) = tokens {
            let authenticator = Arc::clone(&self.ingress.authenticator);
            let rechecks = authenticator.rechecks();
            tasks.push(tokio::spawn(reload::follow(file, authenticator, self.acceptor.clone(), rechecks)));
        }
        if let Some(source) = config.edge.source.clone() {
            tasks.push(tokio::spawn(reload::follow_policies(source, Arc::clone(&self.edge))));
        }
        #[cfg(feature = "acme")]
        if let Some(acme) = config.tls.as_ref().and_then(|tls| tls.acme.clone())
            && let Some(challenges) = &self.ingress.challenges
        {
            tasks.push(tokio::spawn(crate::acme::keep(acme, Arc::clone(challenges))));
        }
        if let Some(audit) = config.audit.clone() {
            tasks.push(tokio::spawn(audit::watch(audit)));
        }
        if let Some(certificates) = certificates {
            tasks.push(tokio::spawn(reload::follow_certificates(certificates)));
        }
        tasks.into_iter().map(AbortOnDropHandle::new).collect()
    }
}

fn patience(limits: &Limits) -> Patience {
    Patience {
        head: limits.header_timeout,
        keep_alive: limits.keep_alive_timeout,
        rest: limits.drain_idle,
        write: Some(limits.terms.idle_timeout).filter(|limit| !limit.is_zero()),
    }
}

fn admin_http1(stream: TcpStream, header_timeout: Duration, admin: Arc<Admin>) -> impl Connection + Send {
    let service = service_fn(move |request: Request<Incoming>| std::future::ready(admin.answer(&request)));
    http1_builder(header_timeout).serve_connection(TokioIo::new(stream), service).with_upgrades()
}
