use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::launch::Launch;
use crate::{
    Child, ChildError,
    load::{Load, LoadError, Request},
    process,
    tunnel::TunnelCpu,
};

/// How long a contender may take to answer its first request.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one attempt at that may take.
const ATTEMPT: Duration = Duration::from_millis(500);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(2);
/// Body bytes of that first response.
const SMALL: u64 = 16;

/// What a contender consists of, before it is started.
#[derive(Debug)]
pub(super) struct Setup {
    /// Where clients connect.
    pub(super) entry: SocketAddr,
    /// The `host` field of their requests.
    pub(super) host: String,
    /// The public end, or the only one.
    pub(super) server: Option<Launch>,
    /// Where the public end waits for the agent, if one that finds nobody there gives up.
    pub(super) control: Option<SocketAddr>,
    /// The end beside the service.
    pub(super) agent: Option<Launch>,
    /// What its idle agents are made of, for those whose memory is compared.
    pub(super) herd: Option<Herd>,
}

/// Any number of agents for one public end.
#[derive(Clone, Debug)]
pub(super) struct Herd {
    /// Without the argument that tells them apart.
    pub(super) agent: Launch,
    /// The name of that argument; its value is the agent's number.
    pub(super) flag: &'static str,
}

/// A contender that answers requests. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    // The agent goes first, so that it does not complain about a lost server.
    agent: Option<Child>,
    server: Option<Child>,
    setup: Setup,
}

/// Why a contender does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Silence {
    /// One of its processes has ended.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// Its processes live, and this is the last answer.
    #[error("no request succeeds within {} s", PATIENCE.as_secs())]
    Unreachable(#[source] LoadError),
}

impl Setup {
    /// A contender without a public end and without an agent.
    pub(super) fn direct(entry: SocketAddr) -> Self {
        let host = "localhost".to_owned();
        Self { entry, host, server: None, control: None, agent: None, herd: None }
    }

    /// A proxy, which has one process.
    pub(super) fn hop(entry: SocketAddr, server: Launch) -> Self {
        Self { server: Some(server), ..Self::direct(entry) }
    }

    /// A tunnel, which has two.
    pub(super) fn tunnel(entry: SocketAddr, server: Launch, control: SocketAddr, agent: Launch) -> Self {
        Self { control: Some(control), agent: Some(agent), ..Self::hop(entry, server) }
    }

    /// Asked for by another name than `localhost`.
    pub(super) fn with_host(self, host: &str) -> Self {
        Self { host: host.to_owned(), ..self }
    }
}

impl Running {
    /// Starts it and waits until it answers.
    pub(super) async fn start(setup: Setup) -> anyhow::Result<Self> {
        let mut running = Self { agent: None, server: None, setup };
        running.start_server()?;
        if let Some(control) = running.setup.control {
            listening(control).await.context("its server does not listen for agents")?;
        }
        running.agent = running.setup.agent.as_ref().map(Launch::start).transpose()?;
        running.answers().await?;
        Ok(running)
    }

    pub(super) fn entry(&self) -> SocketAddr {
        self.setup.entry
    }

    pub(super) fn host(&self) -> &str {
        &self.setup.host
    }

    /// Waits until a request over a new connection succeeds.
    pub(super) async fn answers(&mut self) -> Result<(), Silence> {
        let end = Instant::now() + PATIENCE;
        loop {
            let request = Request::get(self.host(), SMALL);
            let attempt = timeout(ATTEMPT, Load::prepare(self.entry(), request, 1)).await;
            let error = match attempt {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => LoadError::Stuck(ATTEMPT),
            };
            self.check()?;
            if Instant::now() > end {
                return Err(Silence::Unreachable(error));
            }
            sleep(BETWEEN_ATTEMPTS).await;
        }
    }

    /// Kills the server, and starts another in its place.
    pub(super) fn replace_server(&mut self) -> Result<(), ChildError> {
        self.server = None;
        self.start_server()
    }

    /// Makes sure that every part still runs.
    pub(super) fn check(&mut self) -> Result<(), ChildError> {
        self.server.iter_mut().chain(&mut self.agent).try_for_each(Child::check)
    }

    pub(super) fn has_server(&self) -> bool {
        self.server.is_some()
    }

    pub(super) fn has_agent(&self) -> bool {
        self.agent.is_some()
    }

    /// CPU time so far; an end that is not there has used none.
    pub(super) fn cpu(&self) -> anyhow::Result<TunnelCpu> {
        let of = |child: &Option<Child>| {
            child.as_ref().map_or(Ok(Duration::ZERO), |child| process::family_cpu_time(child.pid()))
        };
        Ok(TunnelCpu { gateway: of(&self.server)?, agent: of(&self.agent)? })
    }

    /// Resident bytes of the server and the agent.
    pub(super) fn resident(&self) -> anyhow::Result<[Option<u64>; 2]> {
        let of = |child: &Option<Child>| {
            child.as_ref().map(|child| process::family_resident(child.pid())).transpose()
        };
        Ok([of(&self.server)?, of(&self.agent)?])
    }

    fn start_server(&mut self) -> Result<(), ChildError> {
        self.server = self.setup.server.as_ref().map(Launch::start).transpose()?;
        Ok(())
    }
}

async fn listening(addr: SocketAddr) -> anyhow::Result<()> {
    let connected = async {
        while TcpStream::connect(addr).await.is_err() {
            sleep(BETWEEN_ATTEMPTS).await;
        }
    };
    Ok(timeout(PATIENCE, connected).await?)
}
