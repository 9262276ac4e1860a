//! The real programs as a tunnel, set up as in the README's section of two terminals but for ports that are free.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use agent::Transport;
use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

use crate::{Child, ChildError, Ending, peers::launch::Launch, tunnel::TunnelCpu};

/// How long a gateway may take to listen.
const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(5);
/// The domain below which agents are found.
const DOMAIN: &str = "localhost";
/// The agent of a [`RealTunnel`].
const AGENT: &str = "bench";

/// A gateway in a process of its own, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct RealGateway {
    launch: Launch,
    child: Child,
    transport: Transport,
    http: SocketAddr,
    link: SocketAddr,
    credential: String,
    programs: PathBuf,
    dir: TempDir,
}

/// A gateway and an agent that is online.
#[derive(Debug)]
pub(crate) struct RealTunnel {
    // The agent goes first, so that it does not complain about a lost gateway.
    agent: Child,
    gateway: RealGateway,
}

impl RealGateway {
    /// Starts the gateway in `programs` for agents that use `transport`, with further arguments.
    pub(crate) async fn start(programs: &Path, transport: Transport, args: &[&str]) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let tokens = dir.path().join("tokens.toml");
        let program = programs.join("gateway-tunnel");
        let credential = new_credential(&program, &tokens)?;
        let [http, grpc, ws, admin] = [free()?, free()?, free()?, free()?];
        let ports = [("--http", http), ("--grpc", grpc), ("--ws", ws), ("--admin", admin)];
        let launch = Launch::new("gateway", &program).variable("XDG_CONFIG_HOME", dir.path());
        let launch = launch.args(["serve", "--domain", DOMAIN, "--tokens"]).args([&tokens]);
        let launch =
            launch.args(ports.iter().flat_map(|(flag, addr)| [(*flag).to_owned(), addr.to_string()]));
        let launch = launch.args(args);
        let mut child = launch.start()?;
        let link = match transport {
            Transport::Grpc => grpc,
            Transport::WebSocket => ws,
        };
        listening(&mut child, link).await?;
        Ok(Self { launch, child, transport, http, link, credential, programs: programs.to_owned(), dir })
    }

    /// Ends it and starts it again on the same ports; returns once it listens.
    pub(crate) async fn restart(&mut self, ending: Ending) -> anyhow::Result<()> {
        self.child.end(ending)?;
        self.child = self.launch.start()?;
        listening(&mut self.child, self.link).await
    }

    /// Starts an agent of the same programs that serves `upstream` and dials the gateway at `link`; waits until it is
    /// online.
    pub(crate) fn agent(&self, upstream: SocketAddr, link: SocketAddr) -> Result<Child, ChildError> {
        let scheme = self.transport.label();
        let launch = Launch::new("agent", self.programs.join("agent-tunnel"));
        let launch = launch.variable("XDG_CONFIG_HOME", self.dir.path());
        let launch = launch.variable("INDRANET_TOKEN", &self.credential);
        let launch = launch.args(["connect", &upstream.to_string(), "--id", AGENT, "--proxy", "none"]);
        let mut agent = launch.args(["--gateway", &format!("{scheme}://{link}")]).start()?;
        agent.line()?;
        Ok(agent)
    }

    /// Where clients connect.
    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where agents do.
    pub(crate) fn link(&self) -> SocketAddr {
        self.link
    }

    /// What they sign with.
    pub(crate) fn credential(&self) -> &str {
        &self.credential
    }

    /// Its process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl RealTunnel {
    /// Starts both ends, the gateway with further arguments.
    pub(crate) async fn start(
        programs: &Path,
        transport: Transport,
        args: &[&str],
        upstream: SocketAddr,
    ) -> anyhow::Result<Self> {
        let gateway = RealGateway::start(programs, transport, args).await?;
        let agent = gateway.agent(upstream, gateway.link)?;
        Ok(Self { agent, gateway })
    }

    /// Where clients connect.
    pub(crate) fn http(&self) -> SocketAddr {
        self.gateway.http
    }

    /// The `host` field of requests for its agent.
    pub(crate) fn host(&self) -> String {
        host(AGENT)
    }

    /// The processes of the gateway and the agent.
    pub(crate) fn pids(&self) -> [u32; 2] {
        [self.gateway.child.pid(), self.agent.pid()]
    }

    /// Makes sure that both ends still run.
    pub(crate) fn check(&mut self) -> Result<(), ChildError> {
        self.gateway.child.check()?;
        self.agent.check()
    }

    /// The CPU time used so far, exact if no request is in progress.
    pub(crate) fn cpu(&self) -> Result<TunnelCpu, ChildError> {
        Ok(TunnelCpu { gateway: self.gateway.child.cpu_time()?, agent: self.agent.cpu_time()? })
    }
}

/// The `host` field of requests for an agent of this id.
pub(crate) fn host(agent: &str) -> String {
    format!("{agent}.{DOMAIN}")
}

fn new_credential(gateway: &Path, tokens: &Path) -> anyhow::Result<String> {
    let mut command = Command::new(gateway);
    let output = command.args(["token", "new", "--agent-id", "*", "--tokens"]).arg(tokens).output();
    let output = output.with_context(|| format!("{} cannot be run", gateway.display()))?;
    ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A loopback port that nobody listens on.
fn free() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

async fn listening(gateway: &mut Child, addr: SocketAddr) -> anyhow::Result<()> {
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(addr).await.is_err() {
        gateway.check()?;
        ensure!(Instant::now() < end, "the gateway does not listen within {} s", PATIENCE.as_secs());
        sleep(BETWEEN_ATTEMPTS).await;
    }
    Ok(())
}
