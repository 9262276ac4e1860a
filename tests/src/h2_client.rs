use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{body::Frame, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use crate::{Fields, Head, Message, Request};

/// A client that speaks HTTP/2 from its first byte.
#[derive(Debug)]
pub struct H2 {
    sender: http2::SendRequest<BoxBody<Bytes, Infallible>>,
    _connection: AbortOnDropHandle<Result<(), hyper::Error>>,
}

impl H2 {
    /// Connects to `addr`.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect(addr).await.unwrap()).await
    }

    /// Speaks over a connection that is there.
    pub async fn over<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        Self { sender, _connection: AbortOnDropHandle::new(tokio::spawn(connection)) }
    }

    /// Makes a request whose body, if it has one, is of declared length.
    ///
    /// # Errors
    /// If the response does not end cleanly.
    pub async fn ask(&mut self, request: &Request) -> Result<Message, hyper::Error> {
        let body = Full::new(Bytes::copy_from_slice(request.body_bytes())).boxed();
        self.exchange(request.to_h2().body(body).unwrap()).await
    }

    /// Makes a request whose body comes piece by piece, without a declared length.
    ///
    /// # Errors
    /// If the response does not end cleanly.
    pub async fn stream(
        &mut self,
        request: &Request,
        pieces: mpsc::Receiver<Bytes>,
    ) -> Result<Message, hyper::Error> {
        use tokio_stream::StreamExt as _;
        let frames = ReceiverStream::new(pieces).map(|piece| Ok(Frame::data(piece)));
        let body = BodyExt::boxed(StreamBody::new(frames));
        self.exchange(request.to_h2().body(body).unwrap()).await
    }

    async fn exchange(
        &mut self,
        request: http::Request<BoxBody<Bytes, Infallible>>,
    ) -> Result<Message, hyper::Error> {
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().map(fields).unwrap_or_default();
        let head = Head { start: format!("HTTP/2 {}", head.status), fields: fields(&head.headers) };
        Ok(Message { head, body: body.to_bytes().to_vec(), trailers })
    }
}

fn fields(map: &http::HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect()
}
