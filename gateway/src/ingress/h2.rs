//! HTTP/2 towards clients, on hyper's server: its framing has no two readings that a proxy would have to tell apart.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, Uri,
    header::{CONTENT_LENGTH, EXPECT},
    request::Parts,
    uri::PathAndQuery,
};
use hyper::{body::Incoming, ext::Protocol, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use link::{Abort, Beginning, Ending, Opened};
use proto::{Feature, Fields, HttpVersion, TargetForm, limits};
use session::{Attempt, OpenedExchange, ResponseHead};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use super::{
    Ingress, aborted,
    answer::{AnswerHead, Own, Relayed},
    h1::Patience,
    head::{Head, Target, may_switch},
    request::Begun,
};
use crate::{
    client::Client,
    connections::{self, Connection},
    edge::{BodyLimit, Policy},
    error::{Asked, IngressError},
    socket::{Rewound, Socket},
};
use body::ResponseBody;
use turns::{Turn, Turns};
use upload::Rest;

mod body;
mod tunnel;
mod turns;
mod unread;
mod upload;

/// What is kept of a response for a stream that takes nothing.
const SEND_BUFFER: usize = 64 * 1024;
/// How many requests a client may have in progress on one connection.
const MAX_STREAMS: u32 = 200;
/// Credit of a client for one request body. Small: what is read waits for the agent's credit.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Credit for all bodies of a connection: as much as all streams together, so that uploads which nobody reads never take
/// it from others.
const CONNECTION_WINDOW: u32 = MAX_STREAMS * STREAM_WINDOW;
/// Silence after which a client is asked whether it is still there, and how long it may take to answer.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(20);

/// Serves one connection, of which `read` was read already, until either side ends it. Once `pause` is cancelled it ends
/// with the requests that are in progress.
///
/// # Cancel safety
/// Dropping the future closes the connection and cancels its requests.
pub(crate) async fn serve(
    socket: Socket,
    read: Bytes,
    client: Client,
    ingress: Arc<Ingress>,
    patience: Patience,
    pause: CancellationToken,
) {
    let turns = Arc::new(Turns::default());
    let pause = pause.child_token();
    let peer = client.addr;
    let connection = connection(socket, read, client, ingress, Arc::clone(&turns));
    tokio::select! {
        () = connections::run(connection, peer, pause.clone()) => {}
        () = turns::watch(&turns, patience, pause) => {}
    }
}

fn connection(
    socket: Socket,
    read: Bytes,
    client: Client,
    ingress: Arc<Ingress>,
    turns: Arc<Turns>,
) -> impl Connection + Send {
    let client = Arc::new(client);
    let service = service_fn(move |request: Request<Incoming>| {
        let (ingress, client, turn) = (Arc::clone(&ingress), Arc::clone(&client), turns.begin());
        async move { Ok::<_, Infallible>(handle(&ingress, request, &client, turn).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(limits::MAX_HEAD_BYTES as u32)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(SEND_BUFFER)
        .max_local_error_reset_streams(64)
        .max_pending_accept_reset_streams(20)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .enable_connect_protocol();
    builder.serve_connection(TokioIo::new(Rewound::new(read, socket)), service)
}

/// Answers one request, whatever happens.
///
/// # Cancel safety
/// Dropping the future, or the response's body, cancels the request at the agent.
async fn handle(
    ingress: &Arc<Ingress>,
    request: Request<Incoming>,
    client: &Client,
    turn: Arc<Turn>,
) -> Response<ResponseBody> {
    let id = Uuid::new_v4();
    let mut observation = ingress.metrics.begin();
    let asked = Asked::of_map(request.method(), request.headers());
    let mut unread = None;
    match forward(ingress, id, request, client, &mut unread).await {
        Ok((head, opened, policy, switch)) => {
            debug!(request = %id, status = head.status.as_u16(), "head received");
            let relayed = Relayed::new(id, asked.is_head(), head, opened, observation, policy.as_deref());
            match switch {
                Some(switch) => switch.answer(relayed, ingress, turn),
                None => response(relayed.head, ResponseBody::relayed(relayed.download, turn)),
            }
        }
        Err(error) => {
            if let Some(body) = unread {
                ingress.uploads.spawn(unread::linger(body));
            }
            let Own { head, body } = ingress.refuse(id, &error, &asked, &mut observation);
            response(head, ResponseBody::own(body, observation, turn))
        }
    }
}

type Answered = (ResponseHead, session::Exchange, Option<Arc<Policy>>, Option<tunnel::Switch>);

/// Leaves the body in `unread` until somebody takes it.
async fn forward(
    ingress: &Arc<Ingress>,
    id: Uuid,
    mut request: Request<Incoming>,
    client: &Client,
    unread: &mut Option<Incoming>,
) -> Result<Answered, IngressError> {
    let protocol = request.extensions().get::<Protocol>().cloned();
    let switch_to = protocol.map(|_| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let body_left = unread.insert(body);
    let mut head = head(parts)?;
    let is_upgrade = head.upgrade.is_some();
    let route = ingress.route(&mut head, client)?;
    let session = ingress.session(&route.agent_id, route.admission.offline()).await?;
    if is_upgrade && !session.knows(Feature::Upgrade) {
        return Err(IngressError::MethodNotAllowed);
    }
    let policy = route.admission.policy.clone();
    let mut limit = route.admission.body;
    let (begun, rest) = if is_upgrade {
        (Begun::default(), None)
    } else {
        begin(body_left, session.inline_limit(), &mut limit)?
    };
    let (opened, attempt) = ingress.open(id, session, route, head, begun).await?;
    let (opened, head) = match (opened.sender, unread.take()) {
        // A body that goes on is taken from the client as it comes, and could not be sent twice.
        (Some(sender), Some(body)) if switch_to.is_none() => {
            let (chunk, ending) = rest.unwrap_or_default();
            let rest = Rest { body, limit, chunk, ending };
            ingress.uploads.spawn(upload::run(rest, sender, Arc::clone(&ingress.metrics)));
            let mut opened = Opened { sender: None, receiver: opened.receiver };
            let head = final_head(&mut opened).await.map_err(aborted)?;
            (opened, head)
        }
        (sender, _) => answered(ingress, Opened { sender, receiver: opened.receiver }, attempt).await?,
    };
    let Opened { sender, receiver } = opened;
    let switch = switch_to.zip(sender).map(|(on, sender)| tunnel::Switch { on, sender });
    if head.upgrade.is_some() != (is_upgrade && head.status == http::StatusCode::SWITCHING_PROTOCOLS) {
        return Err(IngressError::UpstreamBadResponse);
    }
    // To the client a success would be the switch (RFC 8441, section 5).
    if is_upgrade && head.status.is_success() {
        return Err(IngressError::UpstreamBadResponse);
    }
    Ok((head, receiver, policy, switch))
}

/// Waits for the answer to a request that is whole, and sends it again where that is safe.
async fn answered(
    ingress: &Ingress,
    mut opened: OpenedExchange,
    mut attempt: Attempt,
) -> Result<(OpenedExchange, ResponseHead), IngressError> {
    loop {
        match final_head(&mut opened).await {
            Ok(head) => return Ok((opened, head)),
            Err(abort) => {
                let again = ingress.dispatcher.again(&mut attempt, &abort, true).await;
                opened = again.ok_or_else(|| aborted(abort))?;
            }
        }
    }
}

/// hyper's server cannot send interim responses.
async fn final_head(opened: &mut OpenedExchange) -> Result<ResponseHead, Abort> {
    loop {
        let head = opened.receiver.head().await?;
        if !head.interim {
            return Ok(head);
        }
    }
}

/// What of a body is there, and what of that did not fit.
type Left = (Bytes, Option<Ending<hyper::Error>>);

fn begin(
    body: &mut Incoming,
    inline_limit: usize,
    limit: &mut BodyLimit,
) -> Result<(Begun, Option<Left>), IngressError> {
    let Beginning { inline, rest, ending } = Beginning::of(body, inline_limit);
    limit.take(inline.len() + rest.len())?;
    let end = rest.is_empty() && matches!(ending, Some(Ending::Clean));
    Ok((Begun { inline, end }, Some((rest, ending))))
}

fn head(mut parts: Parts) -> Result<Head, IngressError> {
    let protocol = parts.extensions.remove::<Protocol>();
    let is_switch = protocol.as_ref().is_some_and(|protocol| may_switch(protocol.as_str().as_bytes()));
    if parts.method == Method::CONNECT && !is_switch {
        return Err(IngressError::MethodNotAllowed);
    }
    let mut target = target(&parts.method, &parts.uri)?;
    // What authority there is may be a pseudo-field or a Host (RFC 9113, section 8.3.1).
    if target.form == TargetForm::Absolute {
        target.form = TargetForm::Origin;
    }
    parts.headers.remove(EXPECT); // the server that this stands on sends no interim responses; clients go on after a moment
    Ok(Head {
        method: match &protocol {
            // RFC 8441 to RFC 6455: what the service speaks is HTTP/1.1.
            Some(_) => Bytes::from_static(b"GET"),
            None => Bytes::copy_from_slice(parts.method.as_str().as_bytes()),
        },
        target,
        version: HttpVersion::HttpVersion2,
        fields: fields(&parts.headers, protocol.is_some()),
        upgrade: protocol.map(|protocol| Bytes::copy_from_slice(protocol.as_str().as_bytes())),
        expect_continue: false,
    })
}

/// The target, strictly: the library passes on paths that HTTP/1.1 has no form for, and none at all.
fn target(method: &Method, uri: &Uri) -> Result<Target, IngressError> {
    match uri.path_and_query().map(PathAndQuery::as_str) {
        Some("*") if method == Method::OPTIONS => {}
        Some(path) if path.starts_with('/') => {}
        _ => return Err(IngressError::BadTarget),
    }
    Target::of(uri)
}

fn fields(headers: &HeaderMap, is_websocket: bool) -> Fields {
    let mut fields = Fields::from(headers);
    join_cookies(&mut fields);
    if is_websocket && !fields.contains("sec-websocket-key") {
        fields.push("sec-websocket-key", tunnel::key());
    }
    fields
}

/// HTTP/2 lets a cookie travel in crumbs; HTTP/1.1 does not (RFC 9113, section 8.2.3).
fn join_cookies(fields: &mut Fields) {
    if fields.all("cookie").nth(1).is_none() {
        return;
    }
    let crumbs: Vec<Bytes> = fields.all("cookie").cloned().collect();
    fields.set("cookie", crumbs.join(&b"; "[..]));
}

fn response(head: AnswerHead, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.fields.to_map();
    if let Some(length) = head.content_length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    response
}
