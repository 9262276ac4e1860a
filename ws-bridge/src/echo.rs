//! The WebSocket layer alone, echoing: what a conformance suite talks to. No part of a link.

use std::io;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{Error, Message, protocol::Role},
};

use crate::{config, fragments::Guarded, server::READ_BUFFER};

/// A suite sends messages of up to 16 MiB and in many thousand fragments, far over the limits of a link.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;

/// Echoes every message of every connection, for ever.
///
/// # Errors
/// What the system says when it cannot accept.
pub async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _peer) = listener.accept().await?;
        tokio::spawn(async move {
            if let Err(error) = echo(stream).await {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let config = config::websocket(READ_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
        .max_write_buffer_size(2 * MAX_MESSAGE);
    let shaken = accept_async_with_config(stream, Some(config)).await?;
    let socket = Guarded::new(shaken.into_inner(), &[], u32::MAX)?;
    let mut socket = WebSocketStream::from_raw_socket(socket, Role::Server, Some(config)).await;
    while let Some(message) = socket.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message).await?,
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
    Ok(())
}
