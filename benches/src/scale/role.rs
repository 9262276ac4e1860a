use std::{
    convert::Infallible,
    io::{self, Read as _},
    net::SocketAddr,
};

use agent::Transport;
use anyhow::Context as _;
use cli::{log, output};

use super::herd::Herd;
use crate::{
    Child, Part, Upstream,
    part::{credential, trust},
    real::RealGateway,
    tunnel::TRANSPORTS,
};

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

impl Part for Role {
    fn parse(words: &[&str]) -> Option<Self> {
        match *words {
            ["service"] => Some(Self::Service),
            ["herd", transport, gateway, upstream, count] => Some(Self::Herd {
                transport: TRANSPORTS.into_iter().find(|known| known.label() == transport)?,
                gateway: gateway.parse().ok()?,
                upstream: upstream.parse().ok()?,
                count: count.parse().ok()?,
            }),
            _ => None,
        }
    }

    fn words(&self) -> Vec<String> {
        match self {
            Self::Service => vec!["service".to_owned()],
            Self::Herd { transport, gateway, upstream, count } => {
                ["herd".to_owned(), transport.label().to_owned()]
                    .into_iter()
                    .chain([gateway.to_string(), upstream.to_string(), count.to_string()])
                    .collect()
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
                let credential = credential()?;
                let Err::<Infallible, _>(error) =
                    Herd { transport, gateway, upstream, credential }.run(count);
                Err(error)
            }
        }
    }
}

/// A child with so many agents, all of which are online.
pub(crate) fn herd(
    gateway: &RealGateway,
    transport: Transport,
    service: &Service,
    count: usize,
) -> anyhow::Result<Child> {
    let role = Role::Herd { transport, gateway: gateway.link(), upstream: service.addr(), count };
    let mut command = role.command()?;
    trust(&mut command, gateway.credential());
    let mut herd = Child::spawn("herd", &mut command)?;
    while herd.line()? != count.to_string() {}
    Ok(herd)
}

/// An upstream in a process of its own. It ends when it is dropped.
pub(crate) struct Service {
    _child: Child,
    addr: SocketAddr,
}

impl Service {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut child = Child::spawn("service", &mut Role::Service.command()?)?;
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
            crate::part::assert_survives_the_command_line(role);
        }
    }
}
