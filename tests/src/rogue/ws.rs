use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _, future, stream};
use http::{HeaderName, HeaderValue};
use proto::{GatewayFrame, codec};
use tokio::{net::TcpStream, sync::mpsc};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};
use tokio_util::task::AbortOnDropHandle;

use super::{Goodbye, Incoming};

/// Opens a WebSocket and sends each frame in a message of its own.
pub(super) async fn open(
    addr: SocketAddr,
    mut frames: mpsc::UnboundedReceiver<Bytes>,
    client: Option<HeaderValue>,
) -> Incoming {
    let stream = TcpStream::connect(addr).await.unwrap();
    let mut request = format!("ws://{addr}/").into_client_request().unwrap();
    let protocol = HeaderValue::from_static(ws_bridge::SUBPROTOCOL);
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    request.headers_mut().extend(client.map(|client| (HeaderName::from_static("x-forwarded-for"), client)));
    let (socket, _response) = client_async(request, stream).await.unwrap();
    let (mut sink, messages) = socket.split();
    let writer = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(frame) = frames.recv().await {
            if sink.send(Message::Binary(delimited(&frame))).await.is_err() {
                break;
            }
        }
        // The other half of the socket goes on.
        future::pending::<()>().await;
    }));
    let frames = messages.map(frames_of).flat_map(stream::iter);
    Box::pin(frames.map(move |frame| {
        let _held = &writer;
        frame
    }))
}

fn delimited(frame: &Bytes) -> Bytes {
    let mut message = BytesMut::new();
    prost::encode_length_delimiter(frame.len(), &mut message).unwrap();
    message.put_slice(frame);
    message.freeze()
}

fn frames_of(message: Result<Message, Error>) -> Vec<Result<GatewayFrame, Goodbye>> {
    match message {
        Ok(Message::Binary(mut message)) => {
            std::iter::from_fn(|| codec::unpack(&mut message).unwrap()).map(Ok).collect()
        }
        Ok(Message::Close(frame)) => {
            let code = frame.map_or(CloseCode::Status, |frame| frame.code);
            vec![Err(Goodbye::WebSocket(code.into()))]
        }
        Ok(_) => Vec::new(),
        Err(_) => vec![Err(Goodbye::Broken)],
    }
}
