use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use h2::{
    Reason, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::Request;
use proto::limits;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use super::{
    Connection, UpstreamError, UpstreamTls,
    dial::{self, Offer},
    stream::{self, Stream},
};
use crate::Upstream;

/// What a stream may have on its way to us: enough to keep a service busy that is near. Credit on the link is what limits
/// a slow client.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Enough for every stream to stall without any other to notice.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * limits::MAX_CONCURRENT;
/// The service's fields, and what the protocol counts for each on top (RFC 9113, section 6.5.2).
const MAX_HEADER_LIST: u32 = (limits::MAX_HEAD_BYTES + (limits::MAX_HEADERS + 4) * 32) as u32;

/// Connections to one local service that speak HTTP/2, mostly one: there are more only if the service takes fewer streams
/// on one than are needed.
#[derive(Debug)]
pub(crate) struct Multiplexed {
    upstream: Upstream,
    tls: UpstreamTls,
    open: Mutex<Vec<Arc<Shared>>>,
    /// Held while one is dialled, so that many requests at once do not dial many.
    dialling: tokio::sync::Mutex<()>,
    /// Whether the service would rather speak HTTP/1.1.
    declined: AtomicBool,
}

#[derive(Debug)]
struct Shared {
    sender: SendRequest<Bytes>,
    streams: AtomicUsize,
    driver: AbortOnDropHandle<()>,
}

/// The right to one stream of a connection, which lives at least as long.
#[derive(Debug)]
pub(crate) struct Lease {
    shared: Arc<Shared>,
    /// Whether the connection was there before.
    reused: bool,
}

/// What the service turned out to speak.
#[derive(Debug)]
pub(crate) enum Leased {
    Http2(Lease),
    Http1(Connection),
}

impl Multiplexed {
    pub(super) fn new(upstream: Upstream, tls: UpstreamTls) -> Self {
        let (open, dialling, declined) =
            (Mutex::default(), tokio::sync::Mutex::default(), AtomicBool::new(false));
        Self { upstream, tls, open, dialling, declined }
    }

    /// A stream on a connection with room for it.
    ///
    /// # Errors
    /// See [`super::Pool::dial`].
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened.
    pub(super) async fn lease(&self) -> Result<Leased, UpstreamError> {
        if let Some(lease) = self.free() {
            return Ok(Leased::Http2(lease));
        }
        let turn = if self.has_declined() { None } else { Some(self.dialling.lock().await) };
        if let Some(lease) = self.free() {
            return Ok(Leased::Http2(lease));
        }
        let stream = dial::dial(&self.upstream, &self.tls, Offer::Http2).await?;
        let declined = self.upstream.tls && !stream::speaks_http2(&stream);
        self.declined.store(declined, Relaxed);
        if declined {
            return Ok(Leased::Http1(Connection::new(stream)));
        }
        let shared = handshake(stream).await?;
        self.open().push(Arc::clone(&shared));
        drop(turn);
        Ok(Leased::Http2(Lease::new(shared, false)))
    }

    /// Whether the service rather spoke HTTP/1.1 when it was asked last.
    pub(super) fn has_declined(&self) -> bool {
        self.declined.load(Relaxed)
    }

    fn free(&self) -> Option<Lease> {
        let mut open = self.open();
        open.retain(|shared| !shared.driver.is_finished());
        let index = open.iter().position(|shared| shared.has_room())?;
        // What is idle behind one with room was needed once.
        let mut at = 0;
        open.retain(|shared| {
            at += 1;
            at <= index + 1 || shared.streams.load(Relaxed) > 0
        });
        Some(Lease::new(Arc::clone(&open[index]), true))
    }

    /// Chooses a connection no more that takes no more requests. Those in progress may end.
    pub(crate) fn forget(&self, lease: &Lease) {
        self.open().retain(|shared| !Arc::ptr_eq(shared, &lease.shared));
    }

    fn open(&self) -> MutexGuard<'_, Vec<Arc<Shared>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        self.streams.load(Relaxed) < self.sender.current_max_send_streams()
    }
}

async fn handshake(stream: Stream) -> Result<Arc<Shared>, UpstreamError> {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(limits::MAX_CHUNK as u32)
        .max_header_list_size(MAX_HEADER_LIST);
    let (sender, connection) = builder.handshake(stream).await.map_err(UpstreamError::Http2)?;
    let driver = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(%error, "HTTP/2 connection to the local service ended");
        }
    }));
    Ok(Arc::new(Shared { sender, streams: AtomicUsize::new(0), driver }))
}

impl Lease {
    fn new(shared: Arc<Shared>, reused: bool) -> Self {
        shared.streams.fetch_add(1, Relaxed);
        Self { shared, reused }
    }

    /// Begins a stream; the future and the half that is sent. Dropping both resets it.
    ///
    /// # Errors
    /// The connection takes no more: nothing was sent.
    pub(crate) fn begin(
        &self,
        head: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.shared.sender.clone().send_request(head, end)
    }

    /// Whether the connection had served others before.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Relaxed);
    }
}

/// Whether the service said that it did not look at the request (RFC 9113, section 8.7).
pub(crate) fn is_refused(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
}
