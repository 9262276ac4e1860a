use std::{convert::Infallible, io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use cli::Shutdown;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use proto::{AgentId, limits};
use session::{Acceptor, Authenticator, Credentials, Dispatcher, Lobby, Registry, Terms, Visitor};
use tokio::net::TcpStream;
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};
use tracing::{info, warn};
use ws_bridge::server::Bridge;

use crate::{
    ActivationError, Addresses, Config, Limits, Reactors, TokenFileError,
    admin::Admin,
    agents::{self, Rulebook},
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
    reload::{self, Tokens},
    route::Domains,
    socket::Socket,
    stage::{Life, Readiness},
    stranger::{self, Rationed},
};

/// Room for the largest head that is taken, and the buffer that bodies are read with.
const READ_BUFFER: usize = limits::MAX_HEAD_BYTES;
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
    /// Sockets that the system has opened cannot be used.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// The token file cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    /// The system gives no more threads.
    #[error("cannot start threads: is --threads too large?")]
    Threads(#[source] io::Error),
    /// The descriptors inside this program are broken.
    #[error("gRPC reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A gateway whose ports are open and whose credentials are read, but which does not answer yet.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    authenticator: Arc<Authenticator>,
    ports: Ports,
    predecessor: Option<Predecessor>,
    life: Life,
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
    /// [`ServeError::Bind`].
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn with_credentials(config: Config, credentials: Credentials) -> Result<Self, ServeError> {
        let ports = Ports::bind(&config)?;
        Ok(Self::on(ports, config, credentials))
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
        let (credentials, followed) = reload::read(config.tokens.clone(), config.master_key_file.as_deref())?;
        if let Some(ports) = Ports::activated(&config)? {
            return Ok(Self { tokens: Some(followed), ..Self::on(ports, config, credentials) });
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
        let older = if config.reuse_port { Ports::inherit(&config).await } else { None };
        match older {
            Some((ports, older)) => {
                Ok(Self { predecessor: Some(older), ..Self::on(ports, config, credentials) })
            }
            None => Self::with_credentials(config, credentials),
        }
    }

    fn on(ports: Ports, config: Config, credentials: Credentials) -> Self {
        let authenticator = Arc::new(Authenticator::new(credentials, config.audiences.clone()));
        Self { config, authenticator, ports, predecessor: None, life: Life::default(), tokens: None }
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
        agents::public_urls(
            &self.config,
            self.config.edge.policies.hosts(),
            self.ports.addresses.http.port(),
            agent_id,
        )
    }

    /// Answers on `reactors` until `shutdown`. Its first phase stops accepting, tells agents to go elsewhere and lets requests
    /// end, for as long as the grace period lasts; its second ends everything at once.
    ///
    /// # Errors
    /// [`ServeError::Reflection`].
    pub async fn run(self, reactors: Reactors, shutdown: Shutdown) -> Result<(), ServeError> {
        let Self { config, authenticator, ports, predecessor, life, tokens } = self;
        let Shutdown { drain, abort } = shutdown;
        let addresses = ports.addresses;
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let registry = Arc::new(Registry::new(config.limits.offline_grace, seed));
        let metrics = Arc::new(Metrics::new(Arc::clone(&registry)));
        let edge = Arc::new(Edge::new(&config.edge));
        let acceptor = Acceptor::new(
            Arc::clone(&authenticator),
            Arc::clone(&registry),
            metrics.sessions.clone(),
            terms(&config),
            Box::new(Rulebook::new(&config, &edge, addresses.http.port())),
        );
        let (tunnel, health) = GrpcService::new(acceptor.clone(), Arc::clone(&edge)).await?;
        let ingress = Arc::new(Ingress {
            domains: Domains::new(&config.domains),
            edge: Arc::clone(&edge),
            pages: config.edge.pages,
            dispatcher: Dispatcher::new(Arc::clone(&registry), metrics.sessions.clone()),
            authenticator: Arc::clone(&authenticator),
            metrics: Arc::clone(&metrics.requests),
            draining: drain.clone(),
            uploads: TaskTracker::new(),
        });
        let doors = Doors { ports: &ports, life: &life, metrics: &metrics.connections };
        let clients_door = doors.of_clients(&config.limits, &edge);
        let [grpc_door, ws_door, admin_door] = doors.of_others();
        let [grpc_census, ws_census] = [&grpc_door, &ws_door].map(|door| Arc::clone(&door.census));
        let operator =
            Arc::new(Admin { metrics: Arc::clone(&metrics), life: life.clone(), draining: drain.clone() });

        // Whatever is left when this function returns ends with it.
        let ended = CancellationToken::new();
        let _ended = ended.clone().drop_guard();
        let [clients, agents] = [reactors.clone(), reactors].map(Connections::new);
        let operators = Connections::new(Reactors::current());
        let bridge = Arc::new(Bridge::new(acceptor.clone(), config.ws_origins.clone(), ended.clone()));
        let header_timeout = config.limits.header_timeout;
        let lobby = Lobby::new(config.limits.lobby);
        let patience = patience(&config.limits);
        let accepting = [
            clients.accept(clients_door, move |stream, peer, pause| {
                let client = ingress.edge.client(peer, "http");
                public::serve(Socket::new(stream), client, Arc::clone(&ingress), patience, pause)
            }),
            agents.accept(grpc_door, {
                let lobby = lobby.clone();
                move |stream, peer, pause| {
                    let tunnel = tunnel.clone();
                    let (census, pause) = (Arc::clone(&grpc_census), pause.answered());
                    stranger::serve(lobby.clone(), census, peer, pause, move |visitor| {
                        http2(stream, &tunnel, peer, visitor)
                    })
                }
            }),
            agents.accept(ws_door, {
                let (bridge, edge) = (Arc::clone(&bridge), Arc::clone(&edge));
                move |stream, peer, pause| {
                    let (bridge, edge) = (Arc::clone(&bridge), Arc::clone(&edge));
                    let (census, pause) = (Arc::clone(&ws_census), pause.answered());
                    stranger::serve(lobby.clone(), census, peer, pause, move |visitor| {
                        ws_http1(stream, header_timeout, bridge, edge, peer, visitor)
                    })
                }
            }),
        ];
        let _operating = operators.accept(admin_door, move |stream, peer, pause| {
            run(admin_http1(stream, header_timeout, Arc::clone(&operator)), peer, pause.answered())
        });
        let _reload = tokens.map(|file| {
            let follow = reload::follow(file, Arc::clone(&authenticator), acceptor.clone());
            AbortOnDropHandle::new(tokio::spawn(follow))
        });
        let _policies = config.edge.source.clone().map(|source| {
            AbortOnDropHandle::new(tokio::spawn(reload::follow_policies(source, Arc::clone(&edge))))
        });
        let mut ending = Ending {
            life: life.clone(),
            ports: ports.clone(),
            predecessor,
            elder: None,
            shared: config.reuse_port,
            rest: config.limits.drain_idle.min(config.limits.grace_period),
            grace_period: config.limits.grace_period,
            accepting: accepting.into(),
            clients,
            agents,
            bridge,
            acceptor: acceptor.clone(),
            health,
        };
        if let Some(predecessor) = &mut ending.predecessor {
            tokio::select! {
                () = predecessor.succeed(&registry) => {}
                () = drain.cancelled() => {}
            }
        }
        if let Some(name) = ports.name().filter(|_name| config.reuse_port) {
            let pauses = ending.clients.pauses().clone();
            let elder = Elder { name, ports, life: life.clone(), acceptor, registry, pauses };
            ending.elder = Some(elder.begin());
        }
        life.on_ready();
        info!(http = %addresses.http, grpc = %addresses.grpc, ws = %addresses.ws, admin = %addresses.admin, domains = ?config.domains, "gateway ready");
        let _watchdog = notify::ready();

        drain.cancelled().await;
        notify::stopping();
        let patience = config.limits.grace_period + FAREWELL;
        tokio::select! {
            finished = tokio::time::timeout(patience, ending.run()) => match finished {
                Ok(()) => info!("all requests ended"),
                Err(_elapsed) => warn!("the grace period is over; requests in progress are cut"),
            },
            () = abort.cancelled() => warn!("requests in progress are cut"),
        }
        Ok(())
    }
}

fn terms(config: &Config) -> Terms {
    let limits = &config.limits;
    Terms {
        gateway_id: config.gateway_id.clone(),
        idle_timeout: limits.idle_timeout,
        heartbeat_interval: limits.heartbeat_interval,
        heartbeat_timeout: limits.heartbeat_timeout,
        grace_period: limits.grace_period,
        max_concurrent: limits.max_concurrent,
        body_memory: limits.body_memory,
        max_link_age: limits.max_link_age,
        max_sessions_per_token: limits.max_sessions_per_token,
        max_sessions_per_agent: limits.max_sessions_per_agent,
    }
}

fn patience(limits: &Limits) -> Patience {
    Patience {
        head: limits.header_timeout,
        keep_alive: limits.keep_alive_timeout,
        rest: limits.drain_idle,
        write: Some(limits.idle_timeout).filter(|limit| !limit.is_zero()),
    }
}

fn ws_http1(
    stream: TcpStream,
    header_timeout: Duration,
    bridge: Arc<Bridge>,
    edge: Arc<Edge>,
    peer: SocketAddr,
    visitor: Visitor,
) -> impl Connection + Send {
    let service = service_fn(move |request: Request<Incoming>| {
        let visitor = edge.speaking_for(visitor.clone(), peer, request.headers());
        std::future::ready(Ok::<_, Infallible>(bridge.answer(request, peer, visitor)))
    });
    http1_builder(header_timeout).serve_connection(TokioIo::new(stream), service).with_upgrades()
}

fn admin_http1(stream: TcpStream, header_timeout: Duration, admin: Arc<Admin>) -> impl Connection + Send {
    let service = service_fn(move |request: Request<Incoming>| std::future::ready(admin.answer(&request)));
    http1_builder(header_timeout).serve_connection(TokioIo::new(stream), service).with_upgrades()
}

fn http1_builder(header_timeout: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // Without a timer the time-out would silently do nothing.
    builder.timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(READ_BUFFER);
    builder
}

fn http2(
    stream: TcpStream,
    tunnel: &GrpcService,
    peer: SocketAddr,
    visitor: Visitor,
) -> impl Connection + Send + use<> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(limits::H2_STREAM_WINDOW)
        .initial_connection_window_size(limits::H2_CONNECTION_WINDOW)
        .max_frame_size(limits::H2_MAX_FRAME_SIZE)
        .max_header_list_size(limits::H2_MAX_HEADER_LIST)
        .max_concurrent_streams(limits::H2_MAX_STREAMS)
        .max_local_error_reset_streams(64)
        .max_pending_accept_reset_streams(20);
    let socket = Rationed::new(stream, visitor.clone());
    builder.serve_connection(TokioIo::new(socket), tunnel.for_peer(peer, visitor))
}
