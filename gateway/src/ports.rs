use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use proto::limits;
use socket2::SockRef;
use tracing::{info, warn};

use crate::{
    ActivationError, Config, ServeError, activation,
    handover::{Name, Predecessor},
    listener::Listener,
};

/// Where a gateway listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Public HTTP.
    pub http: SocketAddr,
    /// Public HTTPS, if there are certificates.
    pub https: Option<SocketAddr>,
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
    /// If there are certificates.
    pub(crate) https: Option<Arc<Listener>>,
    pub(crate) grpc: Arc<Listener>,
    pub(crate) ws: Arc<Listener>,
    pub(crate) admin: Arc<Listener>,
    pub(crate) addresses: Addresses,
}

/// In this order they travel, and count.
const NAMES: [&str; MOST] = ["http", "grpc", "ws", "admin", "https"];
/// How long bytes may wait for a peer, port by port.
const USER_TIMEOUTS: [Option<Duration>; MOST] =
    [None, Some(limits::TCP_USER_TIMEOUT), Some(limits::TCP_USER_TIMEOUT), None, None];
/// The place of the port that is there only if there are certificates.
const HTTPS: usize = LEAST;

/// Sockets as they are handed over, one for each port.
pub(crate) type Sockets = Vec<OwnedFd>;

/// How many there are without and with HTTPS.
pub(crate) const LEAST: usize = 4;
pub(crate) const MOST: usize = 5;

impl Ports {
    /// Opens ports of its own.
    ///
    /// # Errors
    /// [`ServeError::Bind`].
    pub(crate) fn bind(config: &Config) -> Result<Self, ServeError> {
        Self::each(config, |port, addr| bind(port, addr, config.reuse_port))
    }

    /// Takes the sockets that the system has opened for this process, and opens the others.
    ///
    /// # Errors
    /// [`ServeError`].
    pub(crate) fn activated(config: &Config) -> Result<Option<Self>, ServeError> {
        let Some(mut sockets) = activation::sockets(&NAMES)? else {
            return Ok(None);
        };
        let ports = Self::each(config, |port, addr| match sockets.remove(NAMES[port]) {
            Some(socket) => adopt(port, socket),
            None => bind(port, addr, config.reuse_port),
        })?;
        if let Some(name) = sockets.into_keys().next() {
            return Err(ActivationError::Unneeded(name).into());
        }
        info!("listening on sockets that the system has opened");
        Ok(Some(ports))
    }

    /// Takes the sockets of an older process on the same addresses, which goes on serving until it is told to end. That it has
    /// no HTTPS, or has it elsewhere, is no obstacle: it may be there before certificates are.
    pub(crate) async fn inherit(config: &Config) -> Option<(Self, Predecessor)> {
        let Config { http, grpc, ws, admin, .. } = *config;
        let name = Name::of([http, grpc, ws, admin])?;
        let (predecessor, sockets) = Predecessor::find(&name).await?;
        let mut sockets = sockets.into_iter();
        let adopted = Self::each(config, |port, addr| match sockets.next() {
            Some(socket) if port != HTTPS || listens_at(&socket, addr) => adopt(port, socket),
            _ if port == HTTPS => bind(port, addr, true),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
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
        let Addresses { http, grpc, ws, admin, .. } = self.addresses;
        Name::of([http, grpc, ws, admin])
    }

    /// The sockets, to be handed over.
    pub(crate) fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        let always = [&self.http, &self.grpc, &self.ws, &self.admin];
        always.into_iter().chain(&self.https).map(|listener| listener.as_fd()).collect()
    }

    /// See [`Listener::ignore_newcomers`]; not for operators, whose port stays open to the end.
    pub(crate) fn ignore_newcomers(&self) {
        for listener in [&self.http, &self.grpc, &self.ws].into_iter().chain(&self.https) {
            listener.ignore_newcomers();
        }
    }

    fn each(
        config: &Config,
        mut open: impl FnMut(usize, SocketAddr) -> io::Result<Listener>,
    ) -> Result<Self, ServeError> {
        let mut next = |port: usize, addr: SocketAddr| {
            let bound =
                open(port, addr).and_then(|listener| Ok((listener.local_addr()?, Arc::new(listener))));
            bound.map_err(|source| ServeError::Bind { name: NAMES[port], addr, source })
        };
        let [(http_addr, http), (grpc_addr, grpc), (ws_addr, ws), (admin_addr, admin)] =
            [next(0, config.http)?, next(1, config.grpc)?, next(2, config.ws)?, next(3, config.admin)?];
        let https = config.tls.as_ref().map(|tls| next(HTTPS, tls.https)).transpose()?;
        let (https_addr, https) = https.unzip();
        let addresses =
            Addresses { http: http_addr, https: https_addr, grpc: grpc_addr, ws: ws_addr, admin: admin_addr };
        Ok(Self { http, https, grpc, ws, admin, addresses })
    }
}

fn bind(port: usize, addr: SocketAddr, shared: bool) -> io::Result<Listener> {
    Listener::bind(NAMES[port], addr, USER_TIMEOUTS[port], shared)
}

fn adopt(port: usize, socket: OwnedFd) -> io::Result<Listener> {
    Listener::adopt(NAMES[port], socket, USER_TIMEOUTS[port])
}

fn listens_at(socket: &OwnedFd, addr: SocketAddr) -> bool {
    let found = SockRef::from(socket).local_addr();
    found.is_ok_and(|found| found.as_socket() == Some(addr))
}
