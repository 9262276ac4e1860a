//! Sockets that systemd, or whoever speaks like it, has opened before this process began.

use std::{collections::HashMap, env, io, net::TcpListener, os::fd::OwnedFd};

use listenfd::ListenFd;

/// Why sockets that were given cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// A socket without a name that is known.
    #[error(
        "the system gave a socket {}: FileDescriptorName in its .socket unit must be http, https, grpc, ws or admin",
        named(.0)
    )]
    UnknownName(String),
    /// Two sockets for one port.
    #[error("the system gave two sockets named `{0}`: give one")]
    Twice(String),
    /// One for a port that the settings do not have.
    #[error(
        "the system gave a socket named `{0}`, but there is no certificate: set --tls-cert, or give none"
    )]
    Unneeded(&'static str),
    /// Not a listening TCP socket.
    #[error(
        "the socket that the system gave as `{name}` is of no use: it must be ListenStream with an IP address"
    )]
    Unusable {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

fn named(name: &str) -> String {
    if name.is_empty() { "without a name (LISTEN_FDNAMES)".to_owned() } else { format!("named `{name}`") }
}

/// The sockets that were given to this process, by name; `None` if there are none.
pub(crate) fn sockets(
    names: &[&'static str],
) -> Result<Option<HashMap<&'static str, OwnedFd>>, ActivationError> {
    let given = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut given = given.split(':');
    let mut fds = ListenFd::from_env();
    if fds.len() == 0 {
        return Ok(None);
    }
    let mut sockets = HashMap::new();
    for index in 0..fds.len() {
        let name = given.next().unwrap_or_default();
        let Some(known) = names.iter().find(|known| **known == name) else {
            return Err(ActivationError::UnknownName(name.to_owned()));
        };
        let unusable = |source| ActivationError::Unusable { name: name.to_owned(), source };
        let socket: Option<TcpListener> = fds.take_tcp_listener(index).map_err(unusable)?;
        let socket = socket.ok_or_else(|| unusable(io::ErrorKind::NotFound.into()))?;
        if sockets.insert(*known, socket.into()).is_some() {
            return Err(ActivationError::Twice(name.to_owned()));
        }
    }
    Ok(Some(sockets))
}
