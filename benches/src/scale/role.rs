use std::{
    convert::Infallible,
    env,
    io::{self, Read as _},
    net::SocketAddr,
    process::{Command, ExitCode},
};

use agent::Transport;
use anyhow::Context as _;
use cli::{Failure, log, output};

use super::herd::Herd;
use crate::{Child, Upstream, tunnel::TRANSPORTS};

/// The first argument of a program that shall play a role instead of measuring.
const FLAG: &str = "--part";
/// The variable that holds the credential of agents.
const TOKEN: &str = "INDRANET_TOKEN";

/// What a child of the bench is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Prints where it listens.
    Service,
    /// Any number of agents. Prints how many are online, from time to time.
    Herd {
        /// How they dial.
        transport: Transport,
        /// Whom they dial.
        gateway: SocketAddr,
        /// The service behind all of them.
        upstream: SocketAddr,
        /// How many there are.
        count: usize,
    },
}

impl Role {
    /// The role that the arguments of this program ask for, if they do. A bench calls it before anything else.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Option<Self> {
        let args: Vec<String> = args.into_iter().skip(1).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            [FLAG, "service"] => Some(Self::Service),
            [FLAG, "herd", transport, gateway, upstream, count] => Some(Self::Herd {
                transport: TRANSPORTS.into_iter().find(|known| known.label() == transport)?,
                gateway: gateway.parse().ok()?,
                upstream: upstream.parse().ok()?,
                count: count.parse().ok()?,
            }),
            _ => None,
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
        match self {
            Self::Service => {
                let upstream = Upstream::start()?;
                output::line(&upstream.addr().to_string())?;
                io::stdin().read_to_end(&mut Vec::new())?;
                Ok(())
            }
            Self::Herd { transport, gateway, upstream, count } => {
                log::init(log::Format::default(), "warn")?;
                let credential = env::var(TOKEN).context(TOKEN)?.parse()?;
                let Err::<Infallible, _>(error) =
                    Herd { transport, gateway, upstream, credential }.run(count);
                Err(error)
            }
        }
    }

    fn args(self) -> Vec<String> {
        match self {
            Self::Service => vec![FLAG.to_owned(), "service".to_owned()],
            Self::Herd { transport, gateway, upstream, count } => [FLAG, "herd", transport.label()]
                .map(str::to_owned)
                .into_iter()
                .chain([gateway.to_string(), upstream.to_string(), count.to_string()])
                .collect(),
        }
    }

    /// A child that plays this role.
    pub(crate) fn start(self, name: &'static str, credential: &str) -> anyhow::Result<Child> {
        let mut command = Command::new(env::current_exe()?);
        Ok(Child::spawn(name, command.args(self.args()).env(TOKEN, credential))?)
    }
}

/// An upstream in a process of its own. It ends when it is dropped.
pub(crate) struct Service {
    _child: Child,
    addr: SocketAddr,
}

impl Service {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut child = Role::Service.start("service", "")?;
        let addr = child.line()?.parse().context("the service does not say where it listens")?;
        Ok(Self { _child: child, addr })
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_survives_the_command_line() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let herd =
            Role::Herd { transport: Transport::WebSocket, gateway: addr(1), upstream: addr(2), count: 7 };
        for role in [Role::Service, herd] {
            let program = std::iter::once("scale".to_owned());
            assert_eq!(Role::from_args(program.chain(role.args())), Some(role));
        }
        assert_eq!(Role::from_args(["scale".to_owned(), "--quick".to_owned()]), None);
    }
}
