//! Clients who speak TLS with the service itself. Their bytes go to its agent as they are, in an exchange that is none of HTTP.

use std::{future::poll_fn, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use link::Opened;
use proto::{
    AgentId, Feature, HttpVersion, TargetForm, TunnelRequest, id_text, limits, tunnel_close::Reason,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};
use tracing::{debug, info};
use uuid::Uuid;

use super::{
    Ingress, aborted,
    download::{Download, Expected, Part},
    unsent,
};
use crate::{client::Client, error::IngressError, metrics::Outcome};

/// The protocol that the exchange switches to.
const TLS: &str = "tls";
/// The alert `unrecognized_name`: there is nobody to speak with (RFC 6066, section 3).
const NOBODY: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// A client's connection that is not for us to open.
pub(super) struct Sealed {
    pub(super) stream: TcpStream,
    /// Its greeting.
    pub(super) read: Bytes,
    /// Whom it asks for.
    pub(super) name: String,
    pub(super) agent_id: AgentId,
    pub(super) client: Client,
}

/// Carries a connection to its agent, until both directions have ended.
///
/// # Cancel safety
/// Dropping the future closes the connection and cancels the exchange.
pub(super) async fn serve(sealed: Sealed, ingress: Arc<Ingress>, patience: Option<Duration>) {
    let Sealed { mut stream, read, name, agent_id, client } = sealed;
    let id = Uuid::new_v4();
    let mut observation = ingress.metrics.begin();
    let (mut sender, download) = match open(&ingress, id, &name, &agent_id, &client).await {
        Ok((opened, sender)) => (sender, Download::new(opened, Expected::Anything, observation)),
        Err(error) => {
            info!(request = %id, host = name, code = error.code(), %error, "TLS is not passed through");
            observation.ended(Outcome::Error(error.code()));
            // Who does not take it does not want it.
            let _ = timeout(limits::CONNECT_TIMEOUT, stream.write_all(&NOBODY)).await;
            return;
        }
    };
    ingress.metrics.received(read.len());
    if sender.send(read).await.is_err() {
        return;
    }
    // What is cut must not look like an end.
    let _ = stream.set_zero_linger();
    let (reader, mut writer) = stream.into_split();
    let ended = tokio::join!(up(reader, sender, &ingress), down(&mut writer, download, patience));
    if let (true, Ok(())) = ended {
        let _ = SockRef::from(writer.as_ref()).set_linger(None);
    } else {
        // It would announce an end first.
        writer.forget();
    }
}

type Connected = (session::Exchange, session::Upload);

async fn open(
    ingress: &Ingress,
    id: Uuid,
    name: &str,
    agent_id: &AgentId,
    client: &Client,
) -> Result<Connected, IngressError> {
    if !ingress.edge.lets_pass(agent_id, client) {
        return Err(IngressError::Forbidden);
    }
    let session = ingress.session(agent_id, None).await?;
    if !session.knows(Feature::Passthrough) {
        info!(request = %id, agent = %agent_id, "the agent does not take TLS past the gateway; start it with --passthrough");
        return Err(IngressError::UpstreamRefused);
    }
    let opened = ingress.dispatcher.open(session, id, request(id, name, client)).await;
    let (mut opened, mut attempt) = opened.map_err(|unavailable| unsent(unavailable, None))?;
    let head = loop {
        match opened.receiver.head().await {
            Ok(head) => break head,
            // Nothing that the client said has been sent yet.
            Err(abort) => {
                let again = ingress.dispatcher.again(&mut attempt, &abort, true).await;
                opened = again.ok_or_else(|| aborted(abort))?;
            }
        }
    };
    let Opened { sender, receiver } = opened;
    match sender {
        Some(sender) if head.status == StatusCode::SWITCHING_PROTOCOLS => Ok((receiver, sender)),
        _ => Err(IngressError::UpstreamBadResponse),
    }
}

fn request(id: Uuid, name: &str, client: &Client) -> TunnelRequest {
    TunnelRequest {
        id: id_text(id),
        method: Bytes::from_static(b"CONNECT"),
        path: Bytes::from_static(b"*"),
        authority: format!("{name}:443").into(),
        scheme: "https".to_owned(),
        version: HttpVersion::HttpVersion11.into(),
        target_form: TargetForm::Authority.into(),
        upgrade: TLS.to_owned(),
        client_addr: client.addr.to_string(),
        ..TunnelRequest::default()
    }
}

/// Whether the client ended its direction cleanly.
async fn up(mut reader: OwnedReadHalf, mut sender: session::Upload, ingress: &Ingress) -> bool {
    loop {
        let mut buffer = BytesMut::with_capacity(limits::MAX_CHUNK);
        let read = tokio::select! {
            read = reader.read_buf(&mut buffer) => read,
            abort = sender.stopped() => {
                debug!(%abort, "the service wants no more");
                return true;
            }
        };
        match read {
            Ok(0) => {
                sender.finish(Vec::new());
                return true;
            }
            Ok(count) => {
                ingress.metrics.received(count);
                if let Err(abort) = sender.send(buffer.freeze()).await {
                    debug!(%abort, "the service wants no more");
                    return true;
                }
            }
            Err(error) => {
                debug!(%error, "the client left");
                sender.abort(Reason::Cancelled, "the client left");
                return false;
            }
        }
    }
}

/// # Errors
/// If either side broke off.
async fn down(
    writer: &mut OwnedWriteHalf,
    mut download: Download,
    patience: Option<Duration>,
) -> io::Result<()> {
    loop {
        match poll_fn(|cx| download.poll_part(cx)).await.map_err(io::Error::other)? {
            Part::Data(data) => match patience {
                Some(patience) => timeout(patience, writer.write_all(&data)).await??,
                None => writer.write_all(&data).await?,
            },
            Part::End(_) => return writer.shutdown().await,
        }
    }
}
