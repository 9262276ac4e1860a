//! Agents over gRPC: the tunnel itself, health and reflection, on one HTTP/2 server.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_util::StreamExt as _;
use http::Request;
use hyper::{body::Incoming, service::Service as HyperService};
use hyper_util::service::TowerToHyperService;
use link::{CloseReason, LinkError};
use proto::{
    AgentFrame, GatewayFrame,
    connect_error::Code as Refusal,
    limits,
    tunnel_server::{Tunnel, TunnelServer},
};
use session::{Acceptor, LinkInfo, Outbound, Visitor};
use tonic::{Code, Response, Status, Streaming, service::Routes};
use tonic_health::server::HealthReporter;

/// The label of this transport.
pub(crate) const TRANSPORT: &str = "grpc";

/// Where a call comes from and whom it asks for, as the connection knows.
#[derive(Clone, Debug)]
struct Caller {
    peer: SocketAddr,
    authority: String,
    visitor: Visitor,
}

/// Everything that the agents' port answers.
#[derive(Clone)]
pub(crate) struct GrpcService {
    routes: Routes,
}

impl GrpcService {
    /// The tunnel for `acceptor`'s agents, and what people with grpcurl and load balancers ask for.
    pub(crate) async fn new(
        acceptor: Acceptor,
    ) -> Result<(Self, HealthReporter), tonic_reflection::server::Error> {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<TunnelServer<TunnelService>>().await;
        let tunnel = TunnelServer::new(TunnelService { acceptor })
            .max_decoding_message_size(limits::MAX_FRAME)
            .max_encoding_message_size(limits::MAX_FRAME);
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let routes = Routes::new(tunnel)
            .add_service(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .prepare();
        Ok((Self { routes }, reporter))
    }

    /// Says that no new agents are wanted, to those who ask for health.
    pub(crate) async fn stop(reporter: &HealthReporter) {
        reporter.set_not_serving::<TunnelServer<TunnelService>>().await;
    }

    /// The service of one connection.
    pub(crate) fn for_peer(
        &self,
        peer: SocketAddr,
        visitor: Visitor,
    ) -> impl HyperService<
        Request<Incoming>,
        Response = http::Response<tonic::body::Body>,
        Error = std::convert::Infallible,
        Future: Send + 'static,
    > + use<> {
        let routes = self.routes.clone();
        let with_caller = tower::ServiceExt::map_request(routes, move |mut request: Request<Incoming>| {
            let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
            request.extensions_mut().insert(Caller { peer, authority: host, visitor: visitor.clone() });
            request
        });
        TowerToHyperService::new(with_caller)
    }
}

struct TunnelService {
    acceptor: Acceptor,
}

#[tonic::async_trait]
impl Tunnel for TunnelService {
    type AttachStream = Frames;

    async fn attach(
        &self,
        request: tonic::Request<Streaming<AgentFrame>>,
    ) -> Result<Response<Frames>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let info = LinkInfo {
            transport: TRANSPORT,
            peer: caller.as_ref().map(|caller| caller.peer),
            authority: caller.as_ref().map(|caller| caller.authority.clone()).unwrap_or_default(),
            visitor: caller.map(|caller| caller.visitor).unwrap_or_default(),
        };
        let inbound = request.into_inner().map(|frame| frame.map_err(|status| link_error(&status)));
        let outbound = self.acceptor.accept(info, inbound);
        Ok(Response::new(Frames { outbound, ended: false }))
    }
}

/// The gateway's frames, and behind the last one the status that says why there are no more.
struct Frames {
    outbound: Outbound,
    ended: bool,
}

impl Stream for Frames {
    type Item = Result<GatewayFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some(frame) = ready!(Pin::new(&mut self.outbound).poll_next(cx)) {
            return Poll::Ready(Some(Ok(frame)));
        }
        self.ended = true;
        Poll::Ready(status(self.outbound.close_reason()).map(Err))
    }
}

/// How a closed link ends in gRPC; `None` is OK.
fn status(reason: CloseReason) -> Option<Status> {
    let (code, message) = match reason {
        CloseReason::Gone => return None,
        CloseReason::Silent => (Code::DeadlineExceeded, "no heartbeat".to_owned()),
        CloseReason::Shutdown => (Code::Unavailable, "the gateway is shutting down".to_owned()),
        CloseReason::Replaced => (Code::Aborted, "replaced by a newer link of the same agent".to_owned()),
        CloseReason::Revoked => (Code::Unauthenticated, "the token was revoked".to_owned()),
        CloseReason::Protocol(what) | CloseReason::Malformed(what) | CloseReason::Unsupported(what) => {
            (Code::InvalidArgument, what)
        }
        CloseReason::TooLarge(what) => (Code::ResourceExhausted, what),
        CloseReason::Overloaded => (Code::ResourceExhausted, "the agent reads too slowly".to_owned()),
        CloseReason::Refused(error) => (refusal(error.code()), error.message),
        _ => (Code::Unknown, "closed".to_owned()),
    };
    Some(Status::new(code, message))
}

fn refusal(code: Refusal) -> Code {
    match code {
        Refusal::AgentIdNotAllowed => Code::PermissionDenied,
        Refusal::AgentIdInUse => Code::AlreadyExists,
        Refusal::Version => Code::FailedPrecondition,
        Refusal::Limit => Code::ResourceExhausted,
        Refusal::Unavailable => Code::Unavailable,
        Refusal::Protocol => Code::InvalidArgument,
        Refusal::Unauthenticated | Refusal::ClockSkew | Refusal::Replayed | Refusal::Unspecified => {
            Code::Unauthenticated
        }
    }
}

fn link_error(status: &Status) -> LinkError {
    let message = status.message().to_owned();
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => LinkError::TooLarge(message),
        Code::InvalidArgument | Code::Internal => LinkError::Malformed(message),
        _ => LinkError::Broken(message),
    }
}
