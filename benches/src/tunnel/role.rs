use std::{io, net::SocketAddr, process::Command, thread};

use agent::{GatewayUrl, Transport};
use cli::{Shutdown, log, output};
use gateway::{Gateway, Limits, Reactors};
use proto::{AgentId, Credential};
use session::Credentials;
use tokio::runtime::{Builder, Runtime};

use crate::{Part, allocations::Allocations, part};

/// The domain under which the agents are found.
const DOMAIN: &str = "localhost";

/// What a child of the bench is. It runs just as the real program would: same runtime, same log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Prints where it listens: HTTP, gRPC, WebSocket.
    Gateway,
    /// Two agents, one per transport. Each prints its public URL once it is online.
    Agent {
        /// The service behind both.
        upstream: SocketAddr,
        /// The gateway's gRPC port.
        grpc: SocketAddr,
        /// The gateway's WebSocket port.
        ws: SocketAddr,
    },
}

impl Part for Role {
    fn parse(words: &[&str]) -> Option<Self> {
        match *words {
            ["gateway"] => Some(Self::Gateway),
            ["agent", upstream, grpc, ws] => Some(Self::Agent {
                upstream: upstream.parse().ok()?,
                grpc: grpc.parse().ok()?,
                ws: ws.parse().ok()?,
            }),
            _ => None,
        }
    }

    fn words(&self) -> Vec<String> {
        match self {
            Self::Gateway => vec!["gateway".to_owned()],
            Self::Agent { upstream, grpc, ws } => {
                let addrs = [upstream, grpc, ws].map(|addr| addr.to_string());
                ["agent".to_owned()].into_iter().chain(addrs).collect()
            }
        }
    }

    fn run(self) -> anyhow::Result<()> {
        log::init(log::Format::default(), log::DEFAULT_LEVEL)?;
        let credential = part::credential()?;
        match self {
            Self::Gateway => gateway(&credential),
            Self::Agent { upstream, grpc, ws } => agents(&credential, upstream, [grpc, ws]),
        }
    }
}

impl Role {
    /// A command that plays this role with `credential`.
    pub(super) fn trusted(self, credential: &Credential) -> io::Result<Command> {
        let mut command = self.command()?;
        part::trust(&mut command, &credential.reveal());
        Ok(command)
    }
}

fn gateway(credential: &Credential) -> anyhow::Result<()> {
    until_end(Builder::new_multi_thread().enable_all().build()?, async |shutdown| {
        let gateway = Gateway::with_credentials(
            gateway::Config::on_loopback("bench", DOMAIN),
            Credentials::anyone_with(credential),
        )?;
        let addresses = gateway.addresses();
        output::line(&format!("{} {} {}", addresses.http, addresses.grpc, addresses.ws))?;
        Ok(gateway.run(Reactors::current(), shutdown).await?)
    })
}

fn agents(credential: &Credential, upstream: SocketAddr, gateways: [SocketAddr; 2]) -> anyhow::Result<()> {
    until_end(Builder::new_current_thread().enable_all().build()?, async |shutdown| {
        let run = |index: usize| {
            let config = agent_config(super::TRANSPORTS[index], gateways[index], credential, upstream);
            agent::run(config, agent::ui::plain(), shutdown.clone())
        };
        tokio::try_join!(run(0), run(1))?;
        Ok(())
    })
}

fn until_end(runtime: Runtime, run: impl AsyncFnOnce(Shutdown) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let result = runtime.block_on(run(until_stdin_closes()));
    // Not waited for: nobody needs what still runs.
    runtime.shutdown_background();
    result
}

/// Ends at once when the bench lets go of stdin, or is gone. Each line there is answered with [`Allocations`] so far.
fn until_stdin_closes() -> Shutdown {
    let shutdown = Shutdown::default();
    let Shutdown { drain, abort } = shutdown.clone();
    thread::spawn(move || {
        // An error is an end, too.
        for _ in io::stdin().lines().map_while(Result::ok) {
            let _ = output::line(&Allocations::so_far().to_string()); // nobody listens any more, then
        }
        drain.cancel();
        abort.cancel();
    });
    shutdown
}

fn agent_config(
    transport: Transport,
    gateway: SocketAddr,
    credential: &Credential,
    upstream: SocketAddr,
) -> agent::Config {
    let (upstream, gateways) = (agent::Upstream::at(upstream), vec![GatewayUrl::at(transport, gateway)]);
    agent::Config {
        max_retries: Some(0),
        grace_period: Limits::default().terms.grace_period,
        ..agent::Config::new(upstream, gateways, agent_id(transport), credential.clone())
    }
}

/// The id of the agent that serves over `transport`.
pub(super) fn agent_id(transport: Transport) -> AgentId {
    AgentId::parse(&format!("bench-{}", transport.label())).expect("labels are short lower-case words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_survives_the_command_line() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        for role in [Role::Gateway, Role::Agent { upstream: addr(1), grpc: addr(2), ws: addr(3) }] {
            part::assert_survives_the_command_line(role);
        }
    }
}
