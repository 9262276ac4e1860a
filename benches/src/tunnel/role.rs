use std::{
    env, io,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, ExitCode},
    thread,
};

use agent::{GatewayUrl, Transport};
use anyhow::Context as _;
use cli::{Failure, Shutdown, log, output};
use gateway::{EdgeConfig, Gateway, Limits, Reactors};
use proto::{AgentId, Credential};
use session::{AgentIdPattern, Credentials, Grant};
use tokio::runtime::{Builder, Runtime};

use crate::allocations::Allocations;

/// The first argument of a program that shall play a role instead of measuring.
const FLAG: &str = "--role";
/// The variable that holds the credential of both ends.
const TOKEN: &str = "INDRANET_TOKEN";
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

impl Role {
    /// The role that the arguments of this program ask for, if they do. A bench calls it before anything else.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Option<Self> {
        let args: Vec<String> = args.into_iter().skip(1).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            [FLAG, "gateway"] => Some(Self::Gateway),
            [FLAG, "agent", upstream, grpc, ws] => Some(Self::Agent {
                upstream: upstream.parse().ok()?,
                grpc: grpc.parse().ok()?,
                ws: ws.parse().ok()?,
            }),
            _ => None,
        }
    }

    /// A command that plays this role.
    pub(super) fn command(self, credential: &Credential) -> io::Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.env(TOKEN, credential.reveal().as_str()).args(self.args());
        Ok(command)
    }

    fn args(self) -> Vec<String> {
        match self {
            Self::Gateway => vec![FLAG.to_owned(), "gateway".to_owned()],
            Self::Agent { upstream, grpc, ws } => {
                let addrs = [upstream, grpc, ws].map(|addr| addr.to_string());
                [FLAG.to_owned(), "agent".to_owned()].into_iter().chain(addrs).collect()
            }
        }
    }

    /// Plays the role until stdin closes.
    pub fn play(self) -> ExitCode {
        match self.run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}", Failure::runtime(error));
                ExitCode::FAILURE
            }
        }
    }

    fn run(self) -> anyhow::Result<()> {
        log::init(log::Format::default(), log::DEFAULT_LEVEL)?;
        let credential = env::var(TOKEN).context(TOKEN)?.parse()?;
        match self {
            Self::Gateway => gateway(&credential),
            Self::Agent { upstream, grpc, ws } => agents(&credential, upstream, [grpc, ws]),
        }
    }
}

fn gateway(credential: &Credential) -> anyhow::Result<()> {
    until_end(Builder::new_multi_thread().enable_all().build()?, async |shutdown| {
        let gateway = Gateway::with_credentials(gateway_config(), anyone_with(credential))?;
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

fn gateway_config() -> gateway::Config {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    gateway::Config {
        http: anywhere,
        grpc: anywhere,
        ws: anywhere,
        admin: anywhere,
        domains: vec![DOMAIN.to_owned()],
        tokens: PathBuf::new(),
        master_key_file: None,
        public_url: None,
        gateway_id: "bench".to_owned(),
        audiences: Vec::new(),
        ws_origins: Vec::new(),
        limits: Limits::default(),
        edge: EdgeConfig::default(),
        tls: None,
        reuse_port: false,
    }
}

fn anyone_with(credential: &Credential) -> Credentials {
    let grant = Grant::new(credential.secret.clone(), vec![AgentIdPattern::Any]);
    [(credential.token.clone(), grant)].into_iter().collect()
}

fn agent_config(
    transport: Transport,
    gateway: SocketAddr,
    credential: &Credential,
    upstream: SocketAddr,
) -> agent::Config {
    let (host, port) = (gateway.ip().to_string(), gateway.port());
    let upstream = agent::Upstream::http(upstream.ip().to_string(), upstream.port());
    let gateways = vec![GatewayUrl { transport, tls: false, host, port }];
    agent::Config {
        max_retries: Some(0),
        grace_period: Limits::default().grace_period,
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
            let program = std::iter::once("transports".to_owned());
            assert_eq!(Role::from_args(program.chain(role.args())), Some(role));
        }
        assert_eq!(Role::from_args(["transports".to_owned(), "--quick".to_owned()]), None);
    }
}
