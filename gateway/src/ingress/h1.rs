//! HTTP/1.1 towards clients, one task per connection.
//!
//! Our own and not a library's: a proxy must see what a server library rightly hides (a length beside chunks, fields in their
//! order, interim responses, a body that was announced and not yet asked for), and two passes through a library's queues
//! cost more than everything else that is done for a small request.

use std::{future::poll_fn, io, pin::pin, sync::Arc, task::Poll, time::Duration};

use bytes::BytesMut;
use http1::{CONTINUE, Expectation, HeadError, RequestHead, Version};
use proto::{Feature, HttpVersion};
use session::{Attempt, Exchange, OpenedExchange, ResponseHead, Session};
use tracing::debug;
use uuid::Uuid;

use super::{
    Ingress, Route, aborted,
    answer::Relayed,
    head::{Head, Target},
};
use crate::{
    client::Client,
    edge::Policy,
    error::{Asked, IngressError},
    metrics::{Observation, RequestMetrics},
    pause::Pause,
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
    /// For the next request of a connection that shall end.
    pub(crate) rest: Duration,
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

/// Serves one connection, of which `input` was read already, until either side ends it. `pause` has it end
/// with a response.
///
/// # Cancel safety
/// Dropping the future closes the connection and cancels its request.
pub(crate) async fn serve(
    socket: Socket,
    input: BytesMut,
    client: Client,
    ingress: Arc<Ingress>,
    patience: Patience,
    pause: Pause,
) {
    let mut connection = Connection::new(socket, input, patience, pause);
    match run(&mut connection, &client, &ingress).await {
        // What is closed behind unread bytes is reset, and the answer may be lost on its way.
        // The client of a connection that ends unexpectedly may have sent more by now.
        Ok(ended) if ended == Ended::Unread || connection.is_leaving() => connection.linger(LINGER).await,
        Ok(_read) => connection.close(LINGER).await,
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
    let underway = match open(connection, head, &mut request, client).await? {
        Ok(underway) => underway,
        Err(error) => {
            // Behind CONNECT its client may have begun to speak of other things.
            let keep_alive = keep_alive && body.is_empty() && error != IngressError::MethodNotAllowed;
            return request.refuse(connection, &error, version, keep_alive).await;
        }
    };
    let Underway { opened, attempt, upload } = underway;
    let mut relay = Relay::new(opened, attempt, upload, version, keep_alive);
    loop {
        let error = match relay.run(connection, &mut request).await? {
            Verdict::Reuse => return Ok(Next::Request),
            Verdict::Close(ended) => return Ok(Next::Close(ended)),
            Verdict::Refuse(error) => error,
            Verdict::Failed(abort) => {
                let again = relay.again(&ingress.dispatcher, &abort);
                match unless_left(connection, again).await? {
                    true => continue,
                    false => aborted(abort),
                }
            }
        };
        let keep_alive = relay.may_reuse();
        drop(relay);
        return request.refuse(connection, &error, version, keep_alive).await;
    }
}

/// A request that is on its way to its agent.
struct Underway {
    opened: OpenedExchange,
    attempt: Attempt,
    upload: Upload,
}

/// Opens the exchange with what of the body is there already.
///
/// # Errors
/// [`Broken`] if the client leaves meanwhile; within it what the client is told instead.
async fn open(
    connection: &mut Connection,
    head: RequestHead,
    request: &mut Request<'_>,
    client: &Client,
) -> Result<Result<Underway, IngressError>, Broken> {
    let ingress = request.ingress;
    let (route, head, upload) = match prepare(head, client, ingress) {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Err(error)),
    };
    request.policy.clone_from(&route.admission.policy);
    let session =
        match unless_left(connection, ingress.session(&route.agent_id, route.admission.offline())).await? {
            Ok(session) => session,
            Err(error) => return Ok(Err(error)),
        };
    let (head, mut upload) = agree(connection, &session, head, upload);
    let begun = match upload.begin(connection.input(), session.inline_limit()) {
        Ok(begun) => begun,
        Err(error) => return Ok(Err(error)),
    };
    let opening = ingress.open(request.id, session, route, head, begun);
    Ok(unless_left(connection, opening).await?.map(|(mut opened, attempt)| {
        upload.attach(opened.sender.take());
        Underway { opened, attempt, upload }
    }))
}

/// Waits for something, for as long as the client waits.
async fn unless_left<T>(connection: &mut Connection, wanted: impl Future<Output = T>) -> Result<T, Broken> {
    let mut wanted = pin!(wanted);
    poll_fn(|cx| match wanted.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => connection.poll_left(cx).map(|()| Err(Broken::ClientLeft)),
    })
    .await
}

/// Reads the head, and finds the agent.
fn prepare(
    head: RequestHead,
    client: &Client,
    ingress: &Ingress,
) -> Result<(Route, Head, Upload), IngressError> {
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
    upload.limit(route.admission.body);
    Ok((route, head, upload))
}

/// Asks the agent only for what it knows.
fn agree(
    connection: &mut Connection,
    session: &Session,
    mut head: Head,
    mut upload: Upload,
) -> (Head, Upload) {
    if upload.is_expected() && !session.knows(Feature::Informational) {
        upload.become_plain();
        head.expect_continue = false;
        connection.output().write(|out| out.extend_from_slice(CONTINUE));
    }
    if upload.is_upgrade() && !session.knows(Feature::Upgrade) {
        upload.become_plain();
        head.upgrade = None;
    }
    (head, upload)
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
