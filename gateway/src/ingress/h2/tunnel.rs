//! WebSocket over HTTP/2 (RFC 8441): the client's stream and the service's switched connection, byte for byte.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use proto::{limits, tunnel_close::Reason};
use std::future::poll_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tracing::debug;

use super::{
    super::{
        Ingress,
        answer::{AnswerHead, Relayed},
        download::{Download, Part},
    },
    body::ResponseBody,
    response,
    turns::Turn,
};

/// A client's wish to switch protocols, until the service has answered.
pub(super) struct Switch {
    pub(super) on: OnUpgrade,
    pub(super) sender: session::Upload,
}

impl Switch {
    /// Answers as HTTP/2 does: 200 means that the switch took place, everything else is a response like others.
    pub(super) fn answer(
        self,
        relayed: Relayed,
        ingress: &Arc<Ingress>,
        turn: Arc<Turn>,
    ) -> Response<ResponseBody> {
        let Relayed { head, download, protocol } = relayed;
        let Self { on, sender } = self;
        if protocol.is_none() {
            sender.finish(Vec::new());
            return response(head, ResponseBody::relayed(download, turn));
        }
        ingress.uploads.spawn(carry(on, sender, download, turn));
        let mut fields = head.fields;
        fields.remove("sec-websocket-accept"); // HTTP/2 has no such field (RFC 8441, section 5)
        let head = AnswerHead { status: StatusCode::OK, fields, ..head };
        response(head, ResponseBody::empty())
    }
}

/// What a service on HTTP/1.1 must be sent and an HTTP/2 client does not send (RFC 6455, section 4.1).
pub(super) fn key() -> Bytes {
    BASE64_STANDARD.encode(uuid::Uuid::new_v4().as_bytes()).into()
}

async fn carry(on: OnUpgrade, sender: session::Upload, download: Download, turn: Arc<Turn>) {
    let upgraded = match on.await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "the client did not take part in the switch"),
    };
    let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
    tokio::join!(up(reader, sender), down(writer, download, &turn));
}

async fn up(mut reader: ReadHalf<TokioIo<Upgraded>>, mut sender: session::Upload) {
    loop {
        let mut buffer = BytesMut::with_capacity(limits::MAX_CHUNK);
        let read = tokio::select! {
            read = reader.read_buf(&mut buffer) => read,
            abort = sender.stopped() => return debug!(%abort, "the service wants no more"),
        };
        match read {
            Ok(0) => return sender.finish(Vec::new()),
            Ok(_) => {
                if let Err(abort) = sender.send(buffer.freeze()).await {
                    return debug!(%abort, "the service wants no more");
                }
            }
            Err(error) => {
                debug!(%error, "the client left");
                return sender.abort(Reason::Cancelled, "the client left");
            }
        }
    }
}

async fn down(mut writer: WriteHalf<TokioIo<Upgraded>>, mut download: Download, turn: &Turn) {
    loop {
        match poll_fn(|cx| download.poll_part(cx)).await {
            Ok(Part::Data(data)) => {
                turn.is_clients();
                if let Err(error) = writer.write_all(&data).await {
                    return debug!(%error, "the client left");
                }
                turn.is_ours();
            }
            Ok(Part::End(_)) => {
                let _ = writer.shutdown().await; // fails if the client left, who knows then
                return;
            }
            // Both halves are gone then, and the stream is reset.
            Err(truncated) => return debug!(%truncated, "the connection of the service broke"),
        }
    }
}
