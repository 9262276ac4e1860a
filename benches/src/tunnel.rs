//! A tunnel whose two ends are processes of their own, made of the running program.

use std::{io, net::SocketAddr, time::Duration};

use agent::Transport;
use anyhow::Context as _;

use crate::{Child, ChildError, allocations::Allocations};

mod role;

pub use role::Role;

/// The transports that an agent serves on, one agent each.
pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::Grpc, Transport::WebSocket];

/// A gateway, and one process with an agent per transport. Both end when it is dropped.
#[derive(Debug)]
pub struct Tunnel {
    gateway: Child,
    agent: Child,
    http: SocketAddr,
    /// `host` fields, in the order of [`TRANSPORTS`].
    hosts: [String; 2],
}

/// CPU time that both ends have used so far.
#[derive(Clone, Copy, Debug)]
pub struct TunnelCpu {
    /// The gateway's.
    pub gateway: Duration,
    /// The agents'.
    pub agent: Duration,
}

impl Tunnel {
    /// Starts both ends and waits until both agents are online.
    ///
    /// # Errors
    /// Names the end that does not start, with its exit and its log.
    pub fn start(upstream: SocketAddr) -> anyhow::Result<Self> {
        let credential = gateway::tokens::generate()?;
        let mut gateway = Child::spawn("gateway", &mut Role::Gateway.trusted(&credential)?)?;
        let [http, grpc, ws] =
            addresses(&gateway.line()?).context("the gateway does not say where it listens")?;
        let mut agent = Child::spawn("agent", &mut Role::Agent { upstream, grpc, ws }.trusted(&credential)?)?;
        let urls = [agent.line()?, agent.line()?];
        let host = |transport| {
            let prefix = format!("http://{}.", role::agent_id(transport));
            let url = urls.iter().find(|url| url.starts_with(&prefix));
            let host = url.and_then(|url| url.strip_prefix("http://")).map(str::to_owned);
            host.with_context(|| format!("the agents named no URL with {prefix} but {urls:?}"))
        };
        let hosts = [host(TRANSPORTS[0])?, host(TRANSPORTS[1])?];
        Ok(Self { gateway, agent, http, hosts })
    }

    /// Where clients connect.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// The `host` field of requests that shall travel over `transport`.
    pub fn host(&self, transport: Transport) -> &str {
        let position = TRANSPORTS.iter().position(|known| *known == transport);
        &self.hosts[position.expect("every transport has an agent")]
    }

    /// Makes sure that both ends still run.
    ///
    /// # Errors
    /// [`ChildError`] of the end that does not.
    pub fn check(&mut self) -> Result<(), ChildError> {
        self.gateway.check()?;
        self.agent.check()
    }

    /// What the gateway and the agents have allocated so far, if this program counts that: see [`Allocations`].
    ///
    /// # Errors
    /// That of an end which does not answer.
    pub(crate) fn allocations(&mut self) -> anyhow::Result<[Allocations; 2]> {
        Ok([self.gateway.ask()?.parse()?, self.agent.ask()?.parse()?])
    }

    /// The CPU time used so far, exact if no request is in progress.
    ///
    /// # Errors
    /// [`ChildError::State`].
    pub fn cpu(&self) -> Result<TunnelCpu, ChildError> {
        Ok(TunnelCpu { gateway: self.gateway.cpu_time()?, agent: self.agent.cpu_time()? })
    }
}

fn addresses(line: &str) -> io::Result<[SocketAddr; 3]> {
    let addresses: Vec<SocketAddr> = line.split(' ').map_while(|addr| addr.parse().ok()).collect();
    addresses.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("it said `{line}`")))
}
