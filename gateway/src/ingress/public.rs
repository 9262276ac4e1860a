//! Which version of HTTP a new connection speaks.

use std::{future::poll_fn, pin::Pin, sync::Arc};

use bytes::BytesMut;
use http1::{Preface, is_h2_preface};
use tokio_util::{io::poll_read_buf, sync::CancellationToken};

use super::{
    Ingress,
    h1::{self, Patience},
    h2,
};
use crate::{client::Client, socket::Socket};

/// Room for the first bytes, which are a request as a rule.
const ROOM: usize = 4 * 1024;

/// Serves a client's connection in the version that it begins with: HTTP/2 with prior knowledge (RFC 9113, section 3.3), or
/// HTTP/1.
///
/// # Cancel safety
/// Dropping the future closes the connection and cancels its requests.
pub(crate) async fn serve(
    mut socket: Socket,
    client: Client,
    ingress: Arc<Ingress>,
    patience: Patience,
    pause: CancellationToken,
) {
    let mut read = BytesMut::new();
    let preface = tokio::select! {
        // A client that has sent its request already costs no timer.
        biased;
        preface = preface(&mut socket, &mut read) => preface,
        () = tokio::time::sleep(patience.head) => None,
        () = pause.cancelled() => None,
    };
    match preface {
        None => {}
        Some(Preface::Yes) => {
            Box::pin(h2::serve(socket, read.freeze(), client, ingress, patience, pause)).await;
        }
        Some(Preface::No | Preface::NeedMore) => {
            h1::serve(socket, read, client, ingress, patience, pause).await;
        }
    }
}

/// `None` if the client left without a word.
async fn preface(socket: &mut Socket, read: &mut BytesMut) -> Option<Preface> {
    loop {
        read.reserve(ROOM);
        let count = poll_fn(|cx| poll_read_buf(Pin::new(&mut *socket), cx, read)).await.ok()?;
        match is_h2_preface(read) {
            _ if count == 0 => return None,
            Preface::NeedMore => {}
            decided => return Some(decided),
        }
    }
}
