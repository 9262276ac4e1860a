use std::{convert::Infallible, net::SocketAddr};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{
    HeaderMap, Request,
    body::{Frame, Incoming as Body},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use proto::GatewayFrame;
use tokio::{net::TcpStream, sync::mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;

use super::{Goodbye, Incoming};

/// One byte of flags and four of length stand before each message.
const PREFIX: usize = 5;

/// Calls `Attach` without any gRPC library, so that nothing checks what is sent.
pub(super) async fn open(
    addr: SocketAddr,
    frames: mpsc::UnboundedReceiver<Bytes>,
    client: Option<HeaderValue>,
) -> Incoming {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) =
        http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await.unwrap();
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let messages = UnboundedReceiverStream::new(frames);
    let body = StreamBody::new(messages.map(|frame| Ok::<_, Infallible>(Frame::data(prefixed(&frame)))));
    let mut request = Request::post(format!("http://{addr}/indranet.tunnel.v1.Tunnel/Attach"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body)
        .unwrap();
    request.headers_mut().extend(client.map(|client| (HeaderName::from_static("x-forwarded-for"), client)));
    let response = sender.send_request(request).await.unwrap();
    let call =
        Call { body: response.into_body(), buffer: BytesMut::new(), over: false, _connection: connection };
    Box::pin(stream::unfold(call, async |mut call| call.next().await.map(|item| (item, call))))
}

fn prefixed(frame: &Bytes) -> Bytes {
    let mut message = BytesMut::with_capacity(PREFIX + frame.len());
    message.put_u8(0);
    message.put_u32(u32::try_from(frame.len()).unwrap());
    message.extend_from_slice(frame);
    message.freeze()
}

struct Call {
    body: Body,
    buffer: BytesMut,
    over: bool,
    _connection: AbortOnDropHandle<hyper::Result<()>>,
}

impl Call {
    async fn next(&mut self) -> Option<Result<GatewayFrame, Goodbye>> {
        loop {
            if let Some(frame) = self.buffered() {
                return Some(Ok(frame));
            }
            if self.over {
                return None;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(trailers) => {
                        self.over = true;
                        return Some(Err(status(&trailers.into_trailers().unwrap_or_default())));
                    }
                },
                Some(Err(_)) | None => {
                    self.over = true;
                    return Some(Err(Goodbye::Broken));
                }
            }
        }
    }

    fn buffered(&mut self) -> Option<GatewayFrame> {
        let length = self.buffer.get(1..PREFIX)?.get_u32() as usize;
        if self.buffer.len() < PREFIX + length {
            return None;
        }
        self.buffer.advance(PREFIX);
        Some(GatewayFrame::decode(self.buffer.split_to(length).freeze()).unwrap())
    }
}

fn status(trailers: &HeaderMap) -> Goodbye {
    trailers
        .get("grpc-status")
        .map_or(Goodbye::Broken, |status| Goodbye::Grpc(Code::from_bytes(status.as_bytes())))
}
