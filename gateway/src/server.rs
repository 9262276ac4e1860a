use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use cli::Shutdown;
use http::Request;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use proto::{AgentId, limits};
use session::{Acceptor, Authenticator, Credentials, Lobby, PublicUrls, Registry, Terms};
use tokio::net::TcpStream;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tonic_health::server::HealthReporter;
use tracing::{info, warn};
use ws_bridge::server::Bridge;

use crate::{
    CacheError, Config, Limits, Reactors, TlsConfig, TlsFileError, TokenFileError, UrlTemplate,
    admin::Admin,
    agents::{Grpc, WebSocket, http1_builder},
    connections::{Connection, Connections, run},
    edge::{Edge, Hosts},
    grpc::GrpcService,
    ingress::{Ingress, h1::Patience, public},
    listener::Listener,
    metrics::Metrics,
    reload::{self, Followed},
    route::Domains,
    tls::{Door, Port, Tls},
};

/// What is left of the grace period for connections to close once their last response is written.
const FAREWELL: Duration = Duration::from_millis(500);

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
    /// The token file cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// A certificate or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsFileError),
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

/// Where a gateway listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Public HTTP.
    pub http: SocketAddr,
    /// Public HTTPS, if there are certificates.
    pub https: Option<SocketAddr>,
    /// Agents over gRPC.
    pub grpc: SocketAddr,
    /// Agents over WebSocket.
    pub ws: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

/// A gateway whose ports are open and whose credentials are read, but which does not answer yet.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    authenticator: Arc<Authenticator>,
    http: Listener,
    https: Option<Listener>,
    grpc: Listener,
    ws: Listener,
    admin: Listener,
    addresses: Addresses,
    tls: Option<Arc<Tls>>,
    /// The files of certificates and keys to follow.
    certificates: Vec<Followed>,
    /// The token file to follow.
    tokens: Option<Followed>,
}

/// Runs a gateway on `threads` threads, one of which is the caller's, until `shutdown`.
///
/// # Errors
/// [`ServeError`] if it cannot start.
pub async fn serve(config: Config, threads: NonZeroUsize, shutdown: Shutdown) -> Result<(), ServeError> {
    let gateway = Gateway::bind(config)?;
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
        let (credentials, followed) = reload::read(config.tokens.clone())?;
        Ok(Self { tokens: Some(followed), ..Self::with_credentials(config, credentials)? })
    }

    /// Opens the ports and lives on `credentials`; there is no token file.
    ///
    /// # Errors
    /// [`ServeError::Bind`], [`ServeError::Tls`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_credentials(config: Config, credentials: Credentials) -> Result<Self, ServeError> {
        let authenticator = Arc::new(Authenticator::new(credentials, config.audiences.clone()));
        let files = config.tls.iter().flat_map(TlsConfig::files);
        let certificates = files.map(Followed::new).collect();
        if let Some(acme) = config.tls.as_ref().and_then(|tls| tls.acme.as_ref()) {
            acme.cache().prepare()?;
        }
        let tls = config.tls.clone().map(Tls::read).transpose()?.map(Arc::new);
        let open = |name, addr, user_timeout| {
            let listener = Listener::bind(name, addr, user_timeout);
            let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
            bound.map_err(|source| ServeError::Bind { name, addr, source })
        };
        let (http_addr, http) = open("http", config.http, None)?;
        let https = config.tls.as_ref().map(|tls| open("https", tls.https, None)).transpose()?;
        let (https_addr, https) = https.unzip();
        let (grpc_addr, grpc) = open("grpc", config.grpc, Some(limits::TCP_USER_TIMEOUT))?;
        let (ws_addr, ws) = open("ws", config.ws, Some(limits::TCP_USER_TIMEOUT))?;
        let (admin_addr, admin) = open("admin", config.admin, None)?;
        let addresses =
            Addresses { http: http_addr, https: https_addr, grpc: grpc_addr, ws: ws_addr, admin: admin_addr };
        Ok(Self {
            config,
            authenticator,
            http,
            https,
            grpc,
            ws,
            admin,
            addresses,
            tls,
            certificates,
            tokens: None,
        })
    }

    /// Where it listens, with the ports that the system chose where it was asked to.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The URLs under which an agent will be reachable.
    pub fn public_urls(&self, agent_id: &AgentId) -> Vec<String> {
        public_urls(&self.config, self.config.edge.policies.hosts(), self.addresses, agent_id)
    }

    /// Answers on `reactors` until `shutdown`. Its first phase stops accepting, lets requests end and tells agents to leave, for as
    /// long as the grace period lasts; its second ends everything at once.
    ///
    /// # Errors
    /// [`ServeError::Reflection`].
    pub async fn run(self, reactors: Reactors, shutdown: Shutdown) -> Result<(), ServeError> {
        let Self {
            config,
            authenticator,
            http,
            https,
            grpc,
            ws,
            admin,
            addresses,
            tls,
            certificates,
            tokens,
        } = self;
        let Shutdown { drain, abort } = shutdown;
        let metrics = Arc::new(Metrics::new(tls.clone()));
        let registry = Arc::new(Registry::default());
        let edge = Arc::new(Edge::new(&config.edge, https_port(&config, addresses)));
        let acceptor = Acceptor::new(
            Arc::clone(&authenticator),
            Arc::clone(&registry),
            metrics.sessions.clone(),
            terms(&config),
            urls_of(&config, &edge, addresses),
        );
        let (tunnel, health) = GrpcService::new(acceptor.clone()).await?;
        let ingress = Arc::new(Ingress {
            domains: Domains::new(&config.domains),
            edge: Arc::clone(&edge),
            pages: config.edge.pages,
            challenges: tls.as_ref().map(|tls| Arc::clone(tls.challenges())),
            registry,
            authenticator: Arc::clone(&authenticator),
            metrics: Arc::clone(&metrics.requests),
            draining: drain.clone(),
            uploads: TaskTracker::new(),
        });
        let operator = Arc::new(Admin { metrics, draining: drain.clone() });

        // Whatever is left when this function returns ends with it.
        let ended = CancellationToken::new();
        let _ended = ended.clone().drop_guard();
        let [clients, agents] = [reactors.clone(), reactors].map(Connections::new);
        let operators = Connections::new(Reactors::current());
        let bridge = Arc::new(Bridge::new(acceptor.clone(), config.ws_origins.clone(), ended.clone()));
        let header_timeout = config.limits.header_timeout;
        let lobby = Lobby::new(config.limits.lobby);
        let patience = patience(&config.limits);
        let serve_clients = |door: Door| {
            let ingress = Arc::clone(&ingress);
            move |stream, peer, pause| {
                let client = ingress.edge.client(peer, "http");
                public::serve(stream, client, door.clone(), Arc::clone(&ingress), patience, pause)
            }
        };
        let [plain, secure] = doors(tls.as_ref());
        let over_grpc = Grpc { lobby: lobby.clone(), door: Door::agents(tls.as_ref(), Port::Grpc), tunnel };
        let over_ws = WebSocket {
            lobby,
            door: Door::agents(tls.as_ref(), Port::WebSocket),
            bridge: Arc::clone(&bridge),
            header_timeout,
        };
        let accepting = [
            Some(clients.accept(http, serve_clients(plain))),
            https.map(|https| clients.accept(https, serve_clients(secure))),
            Some(agents.accept(grpc, move |stream, peer, pause| over_grpc.serve(stream, peer, pause))),
            Some(agents.accept(ws, move |stream, peer, pause| over_ws.serve(stream, peer, pause))),
        ];
        let _operating = operators.accept(admin, move |stream, peer, pause| {
            run(admin_http1(stream, header_timeout, Arc::clone(&operator)), peer, pause)
        });
        let _reload = tokens.map(|file| {
            let follow = reload::follow(file, Arc::clone(&authenticator), acceptor.clone());
            AbortOnDropHandle::new(tokio::spawn(follow))
        });
        let _policies = config.edge.source.clone().map(|source| {
            AbortOnDropHandle::new(tokio::spawn(reload::follow_policies(source, Arc::clone(&edge))))
        });
        #[cfg(feature = "acme")]
        let _acme =
            config.tls.as_ref().and_then(|tls| tls.acme.clone()).zip(tls.as_ref()).map(|(acme, tls)| {
                AbortOnDropHandle::new(tokio::spawn(crate::acme::keep(acme, Arc::clone(tls.challenges()))))
            });
        let _certificates = tls
            .map(|tls| AbortOnDropHandle::new(tokio::spawn(reload::follow_certificates(certificates, tls))));
        let https = addresses.https.map(tracing::field::display);
        info!(http = %addresses.http, https, grpc = %addresses.grpc, ws = %addresses.ws, admin = %addresses.admin, domains = ?config.domains, "gateway ready");

        drain.cancelled().await;
        drop(accepting);
        let finish = finish(&clients, &agents, &bridge, &acceptor, &health);
        let patience = config.limits.grace_period + FAREWELL;
        tokio::select! {
            finished = tokio::time::timeout(patience, finish) => match finished {
                Ok(()) => info!("all requests ended"),
                Err(_elapsed) => warn!("the grace period is over; requests in progress are cut"),
            },
            () = abort.cancelled() => warn!("requests in progress are cut"),
        }
        Ok(())
    }
}

/// Lets requests end and agents leave.
async fn finish(
    clients: &Connections,
    agents: &Connections,
    bridge: &Bridge,
    acceptor: &Acceptor,
    health: &HealthReporter,
) {
    GrpcService::stop(health).await;
    acceptor.drain();
    tokio::join!(clients.drained(), acceptor.drained());
    tokio::join!(agents.drained(), bridge.drained());
}

fn terms(config: &Config) -> Terms {
    let limits = &config.limits;
    let policies = &config.edge.policies;
    Terms {
        gateway_id: config.gateway_id.clone(),
        response_timeout: policies.response_timeout().unwrap_or(limits.response_timeout),
        response_timeouts: policies.response_timeouts(),
        idle_timeout: limits.idle_timeout,
        heartbeat_interval: limits.heartbeat_interval,
        heartbeat_timeout: limits.heartbeat_timeout,
        grace_period: limits.grace_period,
        max_concurrent: limits.max_concurrent,
    }
}

fn urls_of(config: &Config, edge: &Arc<Edge>, addresses: Addresses) -> Box<PublicUrls> {
    let (config, edge) = (config.clone(), Arc::clone(edge));
    Box::new(move |agent_id| public_urls(&config, edge.rules().hosts(), addresses, agent_id))
}

/// What the ports for clients speak: the one for HTTP, and the one for HTTPS alone.
fn doors(tls: Option<&Arc<Tls>>) -> [Door; 2] {
    match tls {
        None => [Door::Plain, Door::Plain],
        Some(tls) => {
            [Door::Either(Arc::clone(tls), Port::Clients), Door::Tls(Arc::clone(tls), Port::Clients)]
        }
    }
}

/// Where clients reach https: as the public URLs say, else where this gateway listens for it.
fn https_port(config: &Config, addresses: Addresses) -> u16 {
    let told = config.public_url.as_ref().and_then(UrlTemplate::https_port);
    told.or(addresses.https.map(|addr| addr.port())).unwrap_or(443)
}

/// A URL for the agent's id, and one for each host name that it has besides.
fn public_urls(config: &Config, hosts: &Hosts, addresses: Addresses, agent_id: &AgentId) -> Vec<String> {
    let hosts = hosts.of(agent_id);
    if let Some(template) = &config.public_url {
        return [template.url(agent_id)].into_iter().chain(hosts.map(|host| template.url_of(host))).collect();
    }
    let (scheme, usual, port) = match addresses.https {
        Some(https) => ("https", 443, https.port()),
        None => ("http", 80, addresses.http.port()),
    };
    let port = if port == usual { String::new() } else { format!(":{port}") };
    let names = config.domains.iter().map(|domain| format!("{agent_id}.{domain}"));
    names.chain(hosts.map(str::to_owned)).map(|name| format!("{scheme}://{name}{port}")).collect()
}

fn patience(limits: &Limits) -> Patience {
    Patience {
        head: limits.header_timeout,
        keep_alive: limits.keep_alive_timeout,
        write: Some(limits.idle_timeout).filter(|limit| !limit.is_zero()),
    }
}

fn admin_http1(stream: TcpStream, header_timeout: Duration, admin: Arc<Admin>) -> impl Connection + Send {
    let service = service_fn(move |request: Request<Incoming>| std::future::ready(admin.answer(&request)));
    http1_builder(header_timeout).serve_connection(TokioIo::new(stream), service).with_upgrades()
}
