use std::{future::poll_fn, pin::Pin, task::Poll};

use futures_core::Stream;
use futures_util::{SinkExt as _, StreamExt as _, stream::SplitSink};
use proto::{
    Frame,
    codec::{Packer, delimited_len},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, protocol::CloseFrame},
};

/// Messages that are fed before a flush, however many frames are ready: a ping in between must not wait for ever.
const BATCH: usize = 16;

/// Writes frames for as long as there are any, then says farewell. All frames that are ready share one flush.
pub(crate) async fn run<S, F, O>(
    outbound: &mut O,
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    farewell: impl FnOnce(&O) -> CloseFrame,
) -> Result<(), tungstenite::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Frame,
    O: Stream<Item = F> + Unpin,
{
    let mut packer = Packer::default();
    while let Some(first) = outbound.next().await {
        packer.push(&first);
        let mut messages = 0;
        while messages < BATCH {
            match ready_now(outbound).await {
                Some(frame) => {
                    if !packer.fits(delimited_len(&frame)) {
                        sink.feed(Message::Binary(packer.take())).await?;
                        messages += 1;
                    }
                    packer.push(&frame);
                }
                None => break,
            }
        }
        sink.send(Message::Binary(packer.take())).await?;
    }
    sink.send(Message::Close(Some(farewell(outbound)))).await
}

/// The next frame if there is one without waiting. At the stream's end there is none, which the caller learns when it
/// waits again.
async fn ready_now<F>(outbound: &mut (impl Stream<Item = F> + Unpin)) -> Option<F> {
    poll_fn(|cx| match Pin::new(&mut *outbound).poll_next(cx) {
        Poll::Ready(frame) => Poll::Ready(frame),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
