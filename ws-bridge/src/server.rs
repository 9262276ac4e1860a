//! The gateway's end.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    upgrade::{OnUpgrade, Parts},
};
use hyper_util::rt::TokioIo;
use link::LinkError;
use proto::AgentFrame;
use session::{Acceptor, Channel, LinkInfo, Outbound, Visitor};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::Role};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use crate::{
    close, config, duplex,
    fragments::{Guarded, MAX_CONTINUATIONS},
    header::Side,
    read, write,
};

mod handshake;
mod lent;

use lent::Lent;

/// The label of this transport in logs and metrics.
pub const TRANSPORT: &str = "ws";
/// A gateway has thousands of links, most of them idle: this is a third of the largest message that is packed.
pub(crate) const READ_BUFFER: usize = 20 * 1024;
/// How long a peer may take to answer our close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Turns upgrade requests into links.
#[derive(Debug)]
pub struct Bridge {
    acceptor: Acceptor,
    origins: Vec<String>,
    links: TaskTracker,
    ended: CancellationToken,
}

impl Bridge {
    /// A bridge to `acceptor`. A browser's request is refused unless its Origin is one of `origins`: a page that somebody
    /// else made must not dial in with a visitor's network position. Cancelling `ended` cuts all links.
    pub fn new(acceptor: Acceptor, origins: Vec<String>, ended: CancellationToken) -> Self {
        Self { acceptor, origins, links: TaskTracker::new(), ended }
    }

    /// Answers one request: 101 and a link, or a refusal that says what is missing.
    pub fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        channel: Channel,
        visitor: Visitor,
    ) -> Response<Full<Bytes>> {
        let response = match handshake::check(&request, &self.origins) {
            Ok(accepted) => accepted.response(),
            Err(refusal) => {
                debug!(%peer, %refusal, "upgrade refused");
                return refusal.response();
            }
        };
        let authority = handshake::host(&request);
        let info = LinkInfo { transport: TRANSPORT, peer: Some(peer), authority, channel, visitor };
        let upgrade = hyper::upgrade::on(&mut request);
        let (acceptor, ended) = (self.acceptor.clone(), self.ended.clone());
        self.links.spawn(async move {
            tokio::select! {
                () = serve(upgrade, acceptor, info) => {}
                () = ended.cancelled() => {}
            }
        });
        response
    }

    /// Completes once every link has ended, after their sessions have.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn drained(&self) {
        self.links.close();
        self.links.wait().await;
    }
}

async fn serve(upgrade: OnUpgrade, acceptor: Acceptor, info: LinkInfo) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            debug!(%error, "the client left during the upgrade");
            return;
        }
    };
    // Without the indirection that hyper needed, if what is below is what we expect.
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => link(io.into_inner(), read_buf, &acceptor, info).await,
        Err(upgraded) => link(TokioIo::new(upgraded), Bytes::new(), &acceptor, info).await,
    }
}

/// Carries one link to its end.
async fn link<S>(socket: S, begun: Bytes, acceptor: &Acceptor, info: LinkInfo)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut reading, writing) = duplex::split(socket);
    reading.shaken();
    let reading = match Guarded::new(reading, &begun, MAX_CONTINUATIONS) {
        Ok(reading) => reading,
        Err(error) => {
            debug!(%error, "link ended");
            return;
        }
    };
    let config = Some(config::websocket(READ_BUFFER));
    let messages = WebSocketStream::from_partially_read(reading, begun.into(), Role::Server, config).await;
    let (lent, returned) = Lent::new(read::Frames::<_, AgentFrame>::new(messages));
    let mut outbound = acceptor.accept(info, lent);
    let farewell = |outbound: &Outbound| close::frame(outbound.close_reason());
    if let Err(error) = write::run(&mut outbound, &writing, Side::Server, farewell).await {
        debug!(%error, "link ended");
        return;
    }
    // To close at once could cost the peer our last frames: unread input makes the system reset the connection.
    let _ = timeout(CLOSE_TIMEOUT, async {
        if let Ok(mut frames) = returned.await {
            while let Some(Ok(_) | Err(LinkError::Malformed(_))) = frames.next().await {}
        }
    })
    .await;
}
