use std::{
    fmt::Write as _,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::BorrowedFd,
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
    process::geteuid,
};
use sha2::{Digest as _, Sha256};
use tokio::{io::Interest, net::UnixStream};
use tracing::warn;

use crate::ports::{LEAST, MOST, Sockets};

/// What is said at the rendezvous.
pub(super) const TAKE: u8 = b'T';
pub(super) const WATCH: u8 = b'W';
pub(super) const SOCKETS: u8 = b'S';
pub(super) const YIELD: u8 = b'Y';
pub(super) const AGENTS: u8 = b'A';
pub(super) const READY: u8 = b'R';
pub(super) const GONE: u8 = b'G';

/// The name of a rendezvous, in the abstract namespace of the network that the ports are in: it needs no file and ends with
/// its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// Where processes meet that listen on these addresses; `None` if a port is any free one, which nobody shares.
    pub(crate) fn of(addresses: [SocketAddr; LEAST]) -> Option<Self> {
        if addresses.iter().any(|address| address.port() == 0) {
            return None;
        }
        let digest = Sha256::digest(format!("{addresses:?}"));
        let mut name = "\0indranet-gateway-".to_owned();
        for byte in &digest[..16] {
            write!(name, "{byte:02x}").expect("writing to a string does not fail");
        }
        Some(Self(name))
    }

    pub(super) fn path(&self) -> &str {
        &self.0
    }
}

/// Whether whoever is at the other end runs as the same user, and may have our ports.
pub(super) fn is_one_of_us(stream: &UnixStream) -> bool {
    let peer = stream.peer_cred().map(|peer| peer.uid());
    let ours = geteuid().as_raw();
    if !matches!(peer, Ok(uid) if uid == ours) {
        warn!(?peer, "somebody else is at the rendezvous of this gateway");
        return false;
    }
    true
}

/// Sends a byte and the sockets with it.
pub(super) async fn send_sockets(stream: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    loop {
        stream.writable().await?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(sockets));
            Ok(sendmsg(stream, &[IoSlice::new(&[SOCKETS])], &mut control, SendFlags::NOSIGNAL)?)
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return sent.map(|_one| ()),
        }
    }
}

/// Receives what [`send_sockets`] sends.
pub(super) async fn receive_sockets(stream: &UnixStream) -> io::Result<Sockets> {
    loop {
        stream.readable().await?;
        let received = stream.try_io(Interest::READABLE, || {
            let mut byte = [0];
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut buffers = [IoSliceMut::new(&mut byte)];
            recvmsg(stream, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC)?;
            let mut sockets = Sockets::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    sockets.extend(rights);
                }
            }
            Ok((byte, sockets))
        });
        match received {
            Ok(([SOCKETS], sockets)) if sockets.len() >= LEAST => return Ok(sockets),
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_its_addresses() {
        let name = |port| Name::of([port, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port))));
        assert_eq!(name(1), name(1));
        assert_ne!(name(1), name(5));
        assert!(name(0).is_none());
        assert!(name(1).unwrap().path().len() < 108, "longer ones are no address");
    }
}
