//! Everything that lives while a soak lasts: a gateway, its agents, the network between them, and the service.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use agent::Transport;
use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::{process::Command, time::sleep};

use crate::{load::Target, metrics, network::Network, process::Process, service::Service};

const DOMAIN: &str = "tunnel.test";
/// How long a process may take to begin, and to end after SIGTERM: the grace period and what comes after it.
const BEGIN: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(40);
/// Frozen and held peers are found within two or three of these.
const HEARTBEAT: &str = "1s";

/// What a town is like.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) programs: PathBuf,
    pub(crate) transport: Transport,
    /// Agent ids, and processes of each.
    pub(crate) ids: usize,
    pub(crate) agents_each: usize,
    /// Links of each agent.
    pub(crate) links: usize,
    /// Whether a gateway that is restarted shares its ports with its heir.
    pub(crate) reuse_port: bool,
}

/// See the module.
pub(crate) struct Town {
    plan: Plan,
    http: SocketAddr,
    link: SocketAddr,
    admin: SocketAddr,
    gateway_args: Vec<String>,
    token: String,
    pub(crate) gateway: Process,
    pub(crate) agents: Vec<Agent>,
    /// Gateways and agents that were told to go.
    leaving: Vec<Process>,
    /// Logs of processes that are gone, as far as they tell of a panic.
    panics: Vec<String>,
    pub(crate) network: Network,
    service: Service,
    started: usize,
    folder: TempDir,
}

/// A place for one agent process after the other.
pub(crate) struct Agent {
    id: String,
    /// None while it is away.
    pub(crate) process: Option<Process>,
}

impl Town {
    pub(crate) async fn start(plan: Plan) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let tokens = folder.path().join("tokens.toml");
        let token = new_token(&plan.programs, &tokens).await?;
        let [http, grpc, ws, admin] = free_ports()?;
        let link = if plan.transport == Transport::Grpc { grpc } else { ws };
        let ports = [("--http", http), ("--grpc", grpc), ("--ws", ws), ("--admin", admin)];
        let mut gateway_args: Vec<String> = ["serve", "--domain", DOMAIN].map(str::to_owned).into();
        gateway_args.extend(["--tokens".to_owned(), tokens.display().to_string()]);
        gateway_args.extend(ports.iter().flat_map(|(flag, addr)| [(*flag).to_owned(), addr.to_string()]));
        gateway_args
            .extend(["--heartbeat-interval", HEARTBEAT, "--heartbeat-timeout", HEARTBEAT].map(str::to_owned));
        if plan.reuse_port {
            gateway_args.push("--reuse-port".to_owned());
        }
        let mut started = 0;
        let gateway = start_gateway(&plan, &gateway_args, folder.path(), &mut started).await?;
        let (network, service) = (Network::start(link).await?, Service::start().await?);
        let places = (0..plan.agents_each).flat_map(|_| 0..plan.ids);
        let agents = places.map(|id| Agent { id: format!("soak-{id}"), process: None }).collect();
        let (leaving, panics) = (Vec::new(), Vec::new());
        let mut town = Self {
            plan,
            http,
            link,
            admin,
            gateway_args,
            token,
            gateway,
            agents,
            leaving,
            panics,
            network,
            service,
            started,
            folder,
        };
        for place in 0..town.agents.len() {
            town.start_agent(place)?;
        }
        Ok(town)
    }

    /// Where clients ask.
    pub(crate) fn target(&self) -> Target {
        let hosts = (0..self.plan.ids).map(|id| format!("soak-{id}.{DOMAIN}")).collect();
        Target { addr: self.http, hosts }
    }

    /// Where agents dial if there is no network in between.
    pub(crate) fn link(&self) -> SocketAddr {
        self.link
    }

    /// Links that there are when all is well.
    pub(crate) fn links(&self) -> u64 {
        (self.agents.iter().filter(|agent| agent.process.is_some()).count() * self.plan.links) as u64
    }

    pub(crate) async fn gauge(&self, name: &str) -> anyhow::Result<u64> {
        metrics::gauge(self.admin, name).await
    }

    pub(crate) fn start_agent(&mut self, place: usize) -> anyhow::Result<()> {
        self.started += 1;
        let agent = &mut self.agents[place];
        let gateway = format!("{}://{}", self.plan.transport.label(), self.network.addr);
        let upstream = self.service.addr.to_string();
        let mut args = ["connect", &upstream, "--id", &agent.id, "--gateway", &gateway, "--proxy", "none"]
            .map(str::to_owned)
            .to_vec();
        if self.plan.links > 1 {
            args.extend(["--connections".to_owned(), self.plan.links.to_string()]);
        }
        let name = format!("agent-{}", self.started);
        let program = self.plan.programs.join("agent-tunnel");
        let variables = [("INDRANET_TOKEN", self.token.as_str())];
        agent.process = Some(Process::start(name, &program, args, &variables, self.folder.path())?);
        Ok(())
    }

    /// A new process first where ports can be shared; then the old one is told to go.
    pub(crate) async fn restart_gateway(&mut self) -> anyhow::Result<()> {
        if !self.plan.reuse_port {
            self.gateway.terminate();
            self.gateway.ended(END).await?;
        }
        let heir = self.new_gateway().await?;
        let old = std::mem::replace(&mut self.gateway, heir);
        old.terminate();
        self.leaving.push(old);
        Ok(())
    }

    /// kill -9, and a new process.
    pub(crate) async fn kill_gateway(&mut self) -> anyhow::Result<()> {
        self.gateway.kill().await;
        let heir = self.new_gateway().await?;
        let old = std::mem::replace(&mut self.gateway, heir);
        self.bury(&old);
        Ok(())
    }

    /// SIGTERM; its heir is there at once.
    pub(crate) fn restart_agent(&mut self, place: usize) -> anyhow::Result<()> {
        if let Some(old) = self.agents[place].process.take() {
            old.terminate();
            self.leaving.push(old);
        }
        self.start_agent(place)
    }

    /// kill -9.
    pub(crate) async fn kill_agent(&mut self, place: usize) {
        if let Some(mut old) = self.agents[place].process.take() {
            old.kill().await;
            self.bury(&old);
        }
    }

    /// Waits for all that were told to go.
    pub(crate) async fn all_left(&mut self) -> anyhow::Result<()> {
        for mut process in std::mem::take(&mut self.leaving) {
            process.ended(END).await?;
            self.bury(&process);
        }
        Ok(())
    }

    /// Ends everything, and leaves the logs where they are.
    pub(crate) fn keep_logs(self) -> PathBuf {
        self.folder.keep()
    }

    /// Panics in any log, of those that are gone and those that live.
    pub(crate) fn panics(&self) -> Vec<String> {
        let living = self.agents.iter().filter_map(|agent| agent.process.as_ref()).chain([&self.gateway]);
        self.panics.iter().cloned().chain(living.filter_map(panic)).collect()
    }

    fn bury(&mut self, process: &Process) {
        self.panics.extend(panic(process));
    }

    async fn new_gateway(&mut self) -> anyhow::Result<Process> {
        start_gateway(&self.plan, &self.gateway_args, self.folder.path(), &mut self.started).await
    }
}

fn panic(process: &Process) -> Option<String> {
    process.log().contains("panicked at").then(|| format!("{}:\n{}", process.name, process.log_end()))
}

async fn start_gateway(
    plan: &Plan,
    args: &[String],
    folder: &Path,
    started: &mut usize,
) -> anyhow::Result<Process> {
    *started += 1;
    let name = format!("gateway-{started}");
    let mut gateway = Process::start(name, &plan.programs.join("gateway-tunnel"), args, &[], folder)?;
    // Ports may be shared, so only the log says which process is ready.
    gateway.says("gateway ready", BEGIN).await?;
    Ok(gateway)
}

async fn new_token(programs: &Path, tokens: &Path) -> anyhow::Result<String> {
    let program = programs.join("gateway-tunnel");
    let mut command = Command::new(&program);
    let output = command.args(["token", "new", "--agent-id", "*", "--tokens"]).arg(tokens).output().await;
    let output = output.with_context(|| format!("{} cannot be run", program.display()))?;
    ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Ports of loopback on which nobody listens.
fn free_ports() -> std::io::Result<[SocketAddr; 4]> {
    let bind = || TcpListener::bind(("127.0.0.1", 0));
    let listeners = [bind()?, bind()?, bind()?, bind()?];
    let mut ports = [SocketAddr::from(([127, 0, 0, 1], 0)); 4];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?;
    }
    Ok(ports)
}

/// Polls until `condition` holds; the last thing that it said otherwise is the error.
pub(crate) async fn eventually(
    what: &str,
    within: Duration,
    mut condition: impl AsyncFnMut() -> anyhow::Result<Result<(), String>>,
) -> Result<(), String> {
    let begin = tokio::time::Instant::now();
    loop {
        let said = match condition().await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(said)) => said,
            Err(error) => format!("{error:#}"),
        };
        if begin.elapsed() > within {
            return Err(format!("{what}: {said}, after {} s", within.as_secs()));
        }
        sleep(Duration::from_millis(50)).await;
    }
}
