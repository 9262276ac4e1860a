use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use link::LinkError;
use proto::{Frame, codec::unpack};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// Frames after which others have their turn: one message may hold a million empty ones. (On HTTP/2 a pause would be
/// an error: its small frames live on a budget that only reading pays back.)
const TURN: u32 = 512;

/// The frames of a WebSocket.
pub(crate) struct Frames<S, F> {
    messages: WebSocketStream<S>,
    /// What of the last message was not taken yet.
    message: Bytes,
    /// Frames taken since others had their turn.
    taken: u32,
    frame: PhantomData<fn() -> F>,
}

impl<S, F> Frames<S, F> {
    pub(crate) fn new(messages: WebSocketStream<S>) -> Self {
        Self { messages, message: Bytes::new(), taken: 0, frame: PhantomData }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: Frame> Stream for Frames<S, F> {
    type Item = Result<F, LinkError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.taken >= TURN {
            this.taken = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            match unpack(&mut this.message) {
                Ok(Some(frame)) => {
                    this.taken += 1;
                    return Poll::Ready(Some(Ok(frame)));
                }
                Ok(None) => {}
                Err(error) => {
                    this.message.clear();
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
            match ready!(Pin::new(&mut this.messages).poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(Message::Close(frame))) => return Poll::Ready(farewell(frame).map(Err)),
                Some(Ok(Message::Binary(message))) => this.message = message,
                Some(Ok(Message::Text(_))) => {
                    let what = "text message; frames travel in binary messages".to_owned();
                    return Poll::Ready(Some(Err(LinkError::Unsupported(what))));
                }
                // tungstenite answers pings by itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(link_error(error)))),
            }
        }
    }
}

/// What a close frame says, unless it is a goodbye without a reason.
fn farewell(frame: Option<CloseFrame>) -> Option<LinkError> {
    let CloseFrame { code, reason } = frame?;
    let usual = matches!(code, CloseCode::Normal | CloseCode::Away);
    (!usual).then(|| LinkError::Broken(format!("{}: {reason}", u16::from(code))))
}

fn link_error(error: tungstenite::Error) -> LinkError {
    use tungstenite::{Error, error::ProtocolError};
    match error {
        Error::Capacity(error) => LinkError::TooLarge(error.to_string()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            LinkError::Broken("closed without a farewell".to_owned())
        }
        Error::Protocol(error) => LinkError::Violation(error.to_string()),
        Error::Utf8(error) => LinkError::Malformed(error),
        Error::Io(error) if error.kind() == std::io::ErrorKind::Other => {
            LinkError::Violation(error.to_string())
        }
        error => LinkError::Broken(error.to_string()),
    }
}
