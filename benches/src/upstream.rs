use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Builder,
    sync::oneshot,
    task::JoinSet,
};

/// Bytes per piece of a response body.
const PIECE: usize = 64 * 1024;
/// Connections that wait to be accepted. Those that find no place there come back a second later.
const BACKLOG: u32 = 4096;

/// The service behind a tunnel, on a thread of its own: `GET /<n>` gives `n` bytes, `POST /<n>` takes a body first.
/// It ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    end: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Listens on a loopback port that the system chooses.
    ///
    /// # Errors
    /// What the system says if there is no port or no thread to be had.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let listener = {
            let _entered = runtime.enter();
            let socket = TcpSocket::new_v4()?;
            socket.bind(([127, 0, 0, 1], 0).into())?;
            socket.listen(BACKLOG)?
        };
        let addr = listener.local_addr()?;
        let (end, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("upstream".to_owned());
        let thread = thread.spawn(move || runtime.block_on(serve(listener, ended)))?;
        Ok(Self { addr, end: Some(end), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join); // its panic was printed
    }
}

async fn serve(listener: TcpListener, mut ended: oneshot::Receiver<Infallible>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut ended => return,
            Some(_) = connections.join_next() => {}
            // A failure shows in the measurement: whoever dialled gets no answer.
            Ok((stream, _)) = listener.accept() => drop(connections.spawn(connection(stream))),
        }
    }
}

async fn connection(stream: TcpStream) {
    let _ = stream.set_nodelay(true); // gone already, then
    // Agents close connections as they like.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
}

async fn answer(request: Request<Incoming>) -> Result<Response<Repeated>, hyper::Error> {
    let length = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    if request.method() == Method::POST {
        let mut body = request.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
    }
    Ok(Response::new(Repeated { left: length }))
}

/// The same bytes again and again, never copied.
struct Repeated {
    left: u64,
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static BYTES: [u8; PIECE] = [b'x'; PIECE];
        let length = usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE));
        self.left -= length as u64;
        Poll::Ready((length > 0).then(|| Ok(Frame::data(Bytes::from_static(&BYTES[..length])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
