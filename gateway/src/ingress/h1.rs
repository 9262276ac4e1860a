//! HTTP/1.1 towards clients, one task per connection.
//!
//! Our own and not a library's: a proxy must see what a server library rightly hides (a length beside chunks, fields in their
//! order, interim responses, a body that was announced and not yet asked for), and two passes through a library's queues
//! cost more than everything else that is done for a small request.

use std::{io, sync::Arc, time::Duration};

use bytes::BytesMut;
use http1::{CONTINUE, Expectation, HeadError, RequestHead, Version};
use link::Opened;
use proto::{Feature, GatewayFrame, HttpVersion};
use session::{Exchange, ResponseHead};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use super::{
    Ingress,
    answer::Relayed,
    head::{Head, Target},
};
use crate::{
    client::Client,
    edge::Policy,
    error::{Asked, IngressError},
    metrics::{Observation, RequestMetrics},
    socket::Socket,
};
use connection::Connection;
use relay::{Relay, Verdict};
use upload::Upload;

mod connection;
mod date;
mod relay;
mod upload;
mod write;

/// What is left of a request when its answer has been written is read for so long, so that closing the connection does not
/// destroy the answer on its way (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// How a connection is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a head, from its first byte on, and for the first byte of a connection.
    pub(crate) head: Duration,
    /// For the next request of a connection.
    pub(crate) keep_alive: Duration,
    /// For a client that takes nothing; `None` is for ever.
    pub(crate) write: Option<Duration>,
}

/// Why a connection ended otherwise than agreed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the client left")]
    ClientLeft,
    #[error("the response broke off: {0}")]
    Truncated(#[from] super::download::Truncated),
}

/// What becomes of a connection behind a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close(Ended),
}

/// Whether the client has sent more than was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Read,
    Unread,
}

/// Serves one connection, of which `input` was read already, until either side ends it. Once `pause` is cancelled it ends with
/// the response that is in progress.
///
/// # Cancel safety
/// Dropping the future closes the connection and cancels its request.
pub(crate) async fn serve(
    socket: Socket,
    input: BytesMut,
    client: Client,
    ingress: Arc<Ingress>,
    patience: Patience,
    pause: CancellationToken,
) {
    let mut connection = Connection::new(socket, input, patience, pause);
    match run(&mut connection, &client, &ingress).await {
        // What is closed behind unread bytes is reset, and the answer may be lost on its way.
        Ok(Ended::Unread) => connection.linger(LINGER).await,
        Ok(Ended::Read) => connection.close(LINGER).await,
        Err(broken) => debug!(peer = %client.addr, %broken, "connection ended"),
    }
}

async fn run(connection: &mut Connection, client: &Client, ingress: &Ingress) -> Result<Ended, Broken> {
    loop {
        let next = match connection.next_head().await? {
            None => return Ok(Ended::Read),
            Some(Ok(head)) => exchange(connection, head, client, ingress).await?,
            Some(Err(error)) => {
                let mut request = Request::new(ingress, Asked::default());
                request.refuse(connection, &error.into(), Version::H11, false).await?
            }
        };
        if let Next::Close(ended) = next {
            return Ok(ended);
        }
    }
}

async fn exchange(
    connection: &mut Connection,
    head: RequestHead,
    client: &Client,
    ingress: &Ingress,
) -> Result<Next, Broken> {
    let (version, keep_alive, body) = (head.version, head.keep_alive, head.body);
    let mut request = Request::new(ingress, Asked::of(&head.method, &head.fields));
    let Underway { opened, upload, policy } = match open(connection, head, request.id, client, ingress) {
        Ok(underway) => underway,
        Err(error) => {
            // Behind CONNECT its client may have begun to speak of other things.
            let keep_alive = keep_alive && body.is_empty() && error != IngressError::MethodNotAllowed;
            return request.refuse(connection, &error, version, keep_alive).await;
        }
    };
    request.policy = policy;
    let mut relay = Relay::new(opened, upload, version, keep_alive);
    match relay.run(connection, &mut request).await? {
        Verdict::Reuse => Ok(Next::Request),
        Verdict::Close(ended) => Ok(Next::Close(ended)),
        Verdict::Refuse(error) => {
            let keep_alive = relay.may_reuse();
            drop(relay);
            request.refuse(connection, &error, version, keep_alive).await
        }
    }
}

/// A request that is on its way to its agent.
struct Underway {
    opened: Opened<GatewayFrame, ResponseHead>,
    upload: Upload,
    policy: Option<Arc<Policy>>,
}

/// Opens the exchange with what of the body is there already.
fn open(
    connection: &mut Connection,
    head: RequestHead,
    id: Uuid,
    client: &Client,
    ingress: &Ingress,
) -> Result<Underway, IngressError> {
    if head.expectation == Expectation::Unknown {
        return Err(IngressError::ExpectationFailed);
    }
    let mut upload = Upload::new(&head);
    let mut head = Head {
        target: Target::parse(&head.method, head.target)?,
        method: head.method,
        version: match head.version {
            Version::H10 => HttpVersion::HttpVersion10,
            Version::H11 => HttpVersion::HttpVersion11,
        },
        fields: head.fields,
        upgrade: upload.is_upgrade().then_some(head.upgrade).flatten(),
        expect_continue: upload.is_expected(),
    };
    let route = ingress.route(&mut head, client)?;
    let policy = route.admission.policy.clone();
    if upload.is_expected() && !route.session.knows(Feature::Informational) {
        upload.become_plain();
        head.expect_continue = false;
        connection.output().write(|out| out.extend_from_slice(CONTINUE));
    }
    if upload.is_upgrade() && !route.session.knows(Feature::Upgrade) {
        upload.become_plain();
        head.upgrade = None;
    }
    upload.limit(route.admission.body);
    let begun = upload.begin(connection.input(), route.session.inline_limit())?;
    let mut opened = ingress.open(id, route, head, begun)?;
    upload.attach(opened.sender.take());
    Ok(Underway { opened, upload, policy })
}

/// A request, as far as answering it goes.
pub(super) struct Request<'a> {
    ingress: &'a Ingress,
    id: Uuid,
    asked: Asked,
    policy: Option<Arc<Policy>>,
    /// Taken by the answer.
    observation: Option<Observation>,
}

impl<'a> Request<'a> {
    fn new(ingress: &'a Ingress, asked: Asked) -> Self {
        Self { ingress, id: Uuid::new_v4(), asked, policy: None, observation: Some(ingress.metrics.begin()) }
    }

    fn metrics(&self) -> &RequestMetrics {
        &self.ingress.metrics
    }

    fn observation(&mut self) -> Observation {
        self.observation.take().unwrap_or_else(|| self.ingress.metrics.begin())
    }

    /// The answer that was being observed will not be given.
    fn keep_observing(&mut self, observation: Option<Observation>) {
        self.observation = observation;
    }

    /// Passes the service's answer on.
    fn relayed(&mut self, head: ResponseHead, exchange: Exchange) -> Relayed {
        debug!(request = %self.id, status = head.status.as_u16(), "head received");
        let observation = self.observation();
        Relayed::new(self.id, self.asked.is_head(), head, exchange, observation, self.policy.as_deref())
    }

    /// Answers by the gateway itself.
    async fn refuse(
        &mut self,
        connection: &mut Connection,
        error: &IngressError,
        version: Version,
        keep_alive: bool,
    ) -> Result<Next, Broken> {
        let keep_alive = keep_alive && !connection.is_pausing();
        let mut observation = self.observation();
        let answer = self.ingress.refuse(self.id, error, &self.asked, &mut observation);
        write::own(connection.output(), answer, version, keep_alive);
        connection.flush().await?;
        Ok(if keep_alive { Next::Request } else { Next::Close(Ended::Unread) })
    }
}

impl From<HeadError> for IngressError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::TooLarge | HeadError::TooManyFields => Self::HeadTooLarge,
            HeadError::TargetTooLong => Self::UriTooLong,
            HeadError::UnsupportedVersion => Self::UnsupportedVersion,
            HeadError::UnsupportedTransferCoding
            | HeadError::ConflictingFraming
            | HeadError::InvalidContentLength => Self::BadFraming,
            _ => Self::BadRequest,
        }
    }
}
