//! Who is at the other end of a new connection, and which version of HTTP it speaks.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::{Buf as _, BytesMut};
use http1::{Preface, is_h2_preface};
use tokio::time::timeout;
use tokio_util::io::poll_read_buf;
use tracing::{debug, warn};

use super::{
    Ingress,
    h1::{self, Patience},
    h2,
};
use crate::{
    client::Client,
    edge::proxy_protocol::{self, Header},
    pause::Pause,
    socket::Socket,
};

/// Room for the first bytes, which are a request as a rule.
const ROOM: usize = 4 * 1024;

/// Serves a client's connection in the version that it begins with: HTTP/2 with prior knowledge (RFC 9113, section 3.3), or
/// HTTP/1. A trusted proxy may have to say first for whom it speaks.
///
/// # Cancel safety
/// Dropping the future closes the connection and cancels its requests.
pub(crate) async fn serve(
    mut socket: Socket,
    client: Client,
    ingress: Arc<Ingress>,
    patience: Patience,
    pause: Pause,
) {
    let mut read = BytesMut::new();
    let begun = tokio::select! {
        begun = timeout(patience.head, begin(&mut socket, &mut read, client, &ingress)) => begun.unwrap_or(None),
        () = pause.until_rest() => None,
    };
    match begun {
        None => {}
        Some((client, Preface::Yes)) => {
            Box::pin(h2::serve(socket, read.freeze(), client, ingress, patience, pause.answered())).await;
        }
        Some((client, Preface::No | Preface::NeedMore)) => {
            h1::serve(socket, read, client, ingress, patience, pause).await;
        }
    }
}

/// `None` if the client left without a word, or its proxy said something else than it should.
async fn begin(
    socket: &mut Socket,
    read: &mut BytesMut,
    client: Client,
    ingress: &Ingress,
) -> Option<(Client, Preface)> {
    let client = if ingress.edge.expects_proxy_header(&client) {
        introduced(socket, read, client, ingress).await?
    } else {
        client
    };
    Some((client, preface(socket, read).await?))
}

/// Reads for whom a proxy speaks.
async fn introduced(
    socket: &mut Socket,
    read: &mut BytesMut,
    proxy: Client,
    ingress: &Ingress,
) -> Option<Client> {
    loop {
        match proxy_protocol::parse(read) {
            Ok(Some(Header { length, source, tls })) => {
                read.advance(length);
                let scheme = if tls { "https" } else { proxy.scheme };
                return Some(ingress.edge.client(source.unwrap_or(proxy.addr), scheme));
            }
            Ok(None) => {}
            Err(malformed) => {
                warn!(peer = %proxy.addr, %malformed, "a trusted proxy does not speak the PROXY protocol");
                return None;
            }
        }
        if fill(socket, read).await? == 0 {
            debug!(peer = %proxy.addr, "a trusted proxy left without a PROXY header");
            return None;
        }
    }
}

async fn preface(socket: &mut Socket, read: &mut BytesMut) -> Option<Preface> {
    loop {
        match is_h2_preface(read) {
            Preface::NeedMore => {}
            decided => return Some(decided),
        }
        if fill(socket, read).await? == 0 {
            return None;
        }
    }
}

/// Reads what is there, at least a byte; 0 is the end, `None` a connection that broke.
async fn fill(socket: &mut Socket, read: &mut BytesMut) -> Option<usize> {
    read.reserve(ROOM);
    poll_fn(|cx| poll_read_buf(Pin::new(&mut *socket), cx, read)).await.ok()
}
