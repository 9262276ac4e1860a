use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use proto::limits;
use tracing::{info, warn};

use crate::{
    Config, ServeError, activation,
    handover::{Name, Predecessor},
    listener::Listener,
};

/// Where a gateway listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Public HTTP.
    pub http: SocketAddr,
    /// Agents over gRPC.
    pub grpc: SocketAddr,
    /// Agents over WebSocket.
    pub ws: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
}

/// The sockets that a gateway listens on.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    pub(crate) http: Arc<Listener>,
    pub(crate) grpc: Arc<Listener>,
    pub(crate) ws: Arc<Listener>,
    pub(crate) admin: Arc<Listener>,
    pub(crate) addresses: Addresses,
}

/// In this order they travel, and count.
const NAMES: [&str; 4] = ["http", "grpc", "ws", "admin"];
/// How long bytes may wait for a peer, port by port.
const USER_TIMEOUTS: [Option<Duration>; 4] =
    [None, Some(limits::TCP_USER_TIMEOUT), Some(limits::TCP_USER_TIMEOUT), None];

impl Ports {
    /// Opens ports of its own.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub(crate) fn bind(config: &Config) -> Result<Self, ServeError> {
        Self::each(config, |port| {
            Listener::bind(NAMES[port], addresses(config)[port], USER_TIMEOUTS[port], config.reuse_port)
        })
    }

    /// Takes the sockets that the system has opened for this process, and opens the others.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) fn activated(config: &Config) -> Result<Option<Self>, ServeError> {
        let Some(mut sockets) = activation::sockets(&NAMES).map_err(ServeError::Activation)? else {
            return Ok(None);
        };
        let ports = Self::each(config, |port| match sockets.remove(NAMES[port]) {
            Some(socket) => Listener::adopt(NAMES[port], socket, USER_TIMEOUTS[port]),
            None => {
                Listener::bind(NAMES[port], addresses(config)[port], USER_TIMEOUTS[port], config.reuse_port)
            }
        })?;
        info!("listening on sockets that the system has opened");
        Ok(Some(ports))
    }

    /// Takes the sockets of an older process on the same addresses, which goes on serving until it is told to end.
    pub(crate) async fn inherit(config: &Config) -> Option<(Self, Predecessor)> {
        let name = Name::of(addresses(config))?;
        let (predecessor, sockets) = Predecessor::find(&name).await?;
        let mut sockets = sockets.into_iter();
        let adopted = Self::each(config, |port| {
            let socket = sockets.next().ok_or(io::ErrorKind::UnexpectedEof)?;
            Listener::adopt(NAMES[port], socket, USER_TIMEOUTS[port])
        });
        match adopted {
            Ok(ports) => {
                info!("an older process is there and hands its ports over");
                Some((ports, predecessor))
            }
            Err(error) => {
                warn!(%error, "the ports of an older process cannot be taken over");
                None
            }
        }
    }

    /// The name under which an heir finds this process.
    pub(crate) fn name(&self) -> Option<Name> {
        let Addresses { http, grpc, ws, admin } = self.addresses;
        Name::of([http, grpc, ws, admin])
    }

    /// The sockets, to be handed over.
    pub(crate) fn sockets(&self) -> [BorrowedFd<'_>; 4] {
        [&self.http, &self.grpc, &self.ws, &self.admin].map(|listener| listener.as_fd())
    }

    /// See [`Listener::ignore_newcomers`]; not for operators, whose port stays open to the end.
    pub(crate) fn ignore_newcomers(&self) {
        for listener in [&self.http, &self.grpc, &self.ws] {
            listener.ignore_newcomers();
        }
    }

    fn each(
        config: &Config,
        mut open: impl FnMut(usize) -> io::Result<Listener>,
    ) -> Result<Self, ServeError> {
        let mut next = |port: usize| {
            let bound = open(port).and_then(|listener| Ok((listener.local_addr()?, Arc::new(listener))));
            let (name, addr) = (NAMES[port], addresses(config)[port]);
            bound.map_err(|source| ServeError::Bind { name, addr, source })
        };
        let [(http_addr, http), (grpc_addr, grpc), (ws_addr, ws), (admin_addr, admin)] =
            [next(0)?, next(1)?, next(2)?, next(3)?];
        let addresses = Addresses { http: http_addr, grpc: grpc_addr, ws: ws_addr, admin: admin_addr };
        Ok(Self { http, grpc, ws, admin, addresses })
    }
}

fn addresses(config: &Config) -> [SocketAddr; 4] {
    [config.http, config.grpc, config.ws, config.admin]
}

/// Sockets as they are handed over, one for each port.
pub(crate) type Sockets = Vec<OwnedFd>;

/// How many there are.
pub(crate) const COUNT: usize = NAMES.len();
