use std::{net::SocketAddr, pin::Pin};

use ::agent::Transport;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::HeaderValue;
use prost::Message as _;
use proto::{
    AgentFrame, ConnectAccepted, ConnectError, GatewayFrame, TunnelRequest, gateway_frame::Frame,
    tunnel_close::Reason,
};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{Gateway, credentials};

pub mod farewell;
pub mod frames;
mod grpc;
mod ws;

pub use farewell::{Farewell, Goodbye};

/// An agent at the level of frames. It does nothing that it is not told, not even answer a PING, and reads only when it
/// is asked what came.
pub struct Rogue {
    outgoing: mpsc::UnboundedSender<Bytes>,
    incoming: Incoming,
}

/// What a transport gives: frames, and at last how the link ended.
type Incoming = Pin<Box<dyn Stream<Item = Result<GatewayFrame, Goodbye>> + Send>>;

impl Rogue {
    /// Opens a link to `addr` and says nothing on it yet.
    pub async fn dial(transport: Transport, addr: SocketAddr) -> Self {
        Self::dial_with(transport, addr, None).await
    }

    /// The same, as a proxy does that says whom it speaks for.
    pub async fn dial_for(client: &'static str, transport: Transport, addr: SocketAddr) -> Self {
        Self::dial_with(transport, addr, Some(client)).await
    }

    async fn dial_with(transport: Transport, addr: SocketAddr, client: Option<&'static str>) -> Self {
        let (outgoing, frames) = mpsc::unbounded_channel();
        let client = client.map(HeaderValue::from_static);
        let incoming = match transport {
            Transport::Grpc => grpc::open(addr, frames, client).await,
            Transport::WebSocket => ws::open(addr, frames, client).await,
        };
        Self { outgoing, incoming }
    }

    /// Joins a gateway as the agent called `name`.
    pub async fn join(transport: Transport, gateway: &Gateway, name: &str) -> Self {
        let mut rogue = Self::dial(transport, gateway.port(transport)).await;
        rogue.send(credentials::introduction(name));
        rogue.accepted().await;
        rogue
    }

    /// Drops its connection without a word, and has another one on which it says nothing yet.
    pub async fn leave(&mut self, transport: Transport, gateway: &Gateway) {
        *self = Self::dial(transport, gateway.port(transport)).await;
    }

    /// Sends a frame.
    pub fn send(&self, frame: impl Into<AgentFrame>) {
        self.send_bytes(frame.into().encode_to_vec());
    }

    /// Sends bytes in the place of a frame's.
    pub fn send_bytes(&self, frame: impl Into<Bytes>) {
        let _ = self.outgoing.send(frame.into()); // the gateway may have closed the link
    }

    /// The answer to a first frame that is good.
    pub async fn accepted(&mut self) -> ConnectAccepted {
        self.answer().await.unwrap_or_else(|error| panic!("refused: {error:?}"))
    }

    /// The answer to a first frame, whatever it is.
    pub async fn answer(&mut self) -> Result<ConnectAccepted, ConnectError> {
        self.wait(|frame| match frame {
            Frame::Accepted(accepted) => Some(Ok(accepted)),
            Frame::Error(error) => Some(Err(error)),
            _ => None,
        })
        .await
    }

    /// The answer to a first frame that is not.
    pub async fn refused(&mut self) -> ConnectError {
        self.wait(|frame| match frame {
            Frame::Error(error) => Some(error),
            frame => panic!("not refused: {frame:?}"),
        })
        .await
    }

    /// The next request of a client.
    pub async fn request(&mut self) -> TunnelRequest {
        self.wait(|frame| match frame {
            Frame::Request(request) => Some(request),
            _ => None,
        })
        .await
    }

    /// Waits until the gateway has read everything that was sent.
    pub async fn heard(&mut self) {
        let payload = bytes::Bytes::from(Uuid::new_v4().into_bytes().to_vec());
        self.send(frames::ping(payload.clone()));
        let is_pong = |control: &proto::ControlMessage| {
            control.r#type() == proto::control_message::Type::Pong && control.payload == payload
        };
        self.wait(|frame| matches!(frame, Frame::Control(control) if is_pong(&control)).then_some(())).await;
    }

    /// The reason with which the gateway closes an exchange.
    pub async fn close_of(&mut self, id: impl AsRef<[u8]>) -> Reason {
        let id = id.as_ref();
        self.wait(|frame| match frame {
            Frame::Close(close) if close.id == *id => Some(close.reason()),
            _ => None,
        })
        .await
    }

    /// Waits for a frame of some kind, and throws away what comes before it.
    ///
    /// # Panics
    /// If the link ends before.
    pub async fn wait<T>(&mut self, mut wanted: impl FnMut(Frame) -> Option<T>) -> T {
        loop {
            let frame = match self.incoming.next().await {
                Some(Ok(frame)) => frame.frame.expect("the gateway sends no empty frame"),
                ended => panic!("the link ended: {ended:?}"),
            };
            if let Some(found) = wanted(frame) {
                return found;
            }
        }
    }

    /// Waits until the gateway has closed the link, and says how it did.
    pub async fn goodbye(&mut self) -> Goodbye {
        loop {
            match self.incoming.next().await {
                Some(Ok(_)) => {}
                Some(Err(goodbye)) => return goodbye,
                None => return Goodbye::Broken,
            }
        }
    }
}

impl std::fmt::Debug for Rogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rogue").finish_non_exhaustive()
    }
}
