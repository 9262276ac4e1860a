//! Agents over gRPC: the tunnel itself, health and reflection, on one HTTP/2 server.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc};

use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::service::TowerToHyperService;
use link::CloseReason;
use proto::{connect_error::Code as Refusal, tunnel_server::SERVICE_NAME};
use session::{Acceptor, Channel, LinkInfo, Visitor};
use tonic::{Code, Status, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::edge::Edge;

mod attach;

use attach::{Body, FromAgent, ToAgent};

/// The label of this transport.
pub(crate) const TRANSPORT: &str = "grpc";

/// Everything that the agents' port answers.
#[derive(Clone)]
pub(crate) struct GrpcService {
    acceptor: Acceptor,
    edge: Arc<Edge>,
    routes: Routes,
}

impl GrpcService {
    /// The tunnel for `acceptor`'s agents, and what people with grpcurl and load balancers ask for.
    pub(crate) async fn new(
        acceptor: Acceptor,
        edge: Arc<Edge>,
    ) -> Result<(Self, HealthReporter), tonic_reflection::server::Error> {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status(SERVICE_NAME, ServingStatus::Serving).await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let routes = Routes::new(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .prepare();
        Ok((Self { acceptor, edge, routes }, reporter))
    }

    /// Says that no new agents are wanted, to those who ask for health.
    pub(crate) async fn stop(reporter: &HealthReporter) {
        reporter.set_service_status(SERVICE_NAME, ServingStatus::NotServing).await;
    }

    /// The service of one connection.
    pub(crate) fn for_peer(&self, peer: SocketAddr, channel: Channel, visitor: Visitor) -> PeerService {
        PeerService { service: self.clone(), peer, channel, visitor }
    }
}

/// What is answered on one connection.
pub(crate) struct PeerService {
    service: GrpcService,
    peer: SocketAddr,
    channel: Channel,
    visitor: Visitor,
}

impl PeerService {
    /// Makes a call of the tunnel's method a link.
    fn attach(&self, request: Request<Incoming>) -> Response<Body> {
        if let Err(status) = attach::check(&request) {
            return status.into_http::<tonic::body::Body>().map(Body::Other);
        }
        let host = request.uri().host().unwrap_or_default();
        let authority = host.trim_matches(['[', ']']).to_ascii_lowercase();
        let visitor = self.service.edge.speaking_for(self.visitor.clone(), self.peer, request.headers());
        let channel = self.channel.clone();
        let info = LinkInfo { transport: TRANSPORT, peer: Some(self.peer), authority, channel, visitor };
        let outbound = self.service.acceptor.accept(info, FromAgent::new(request.into_body()));
        Body::response(ToAgent::new(outbound))
    }
}

impl Service<Request<Incoming>> for PeerService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if request.uri().path() == proto::ATTACH_PATH {
            return Box::pin(std::future::ready(Ok(self.attach(request))));
        }
        let answer = TowerToHyperService::new(self.service.routes.clone()).call(request);
        Box::pin(async move { Ok(answer.await?.map(Body::Other)) })
    }
}

/// How a closed link ends in gRPC; `None` is OK.
fn status(reason: CloseReason) -> Option<Status> {
    let (code, message) = match reason {
        CloseReason::Gone => return None,
        CloseReason::Silent => (Code::DeadlineExceeded, "no heartbeat".to_owned()),
        CloseReason::Shutdown => (Code::Unavailable, "the gateway is shutting down".to_owned()),
        CloseReason::Replaced => (Code::Aborted, "replaced by a newer link of the same agent".to_owned()),
        CloseReason::Withdrawn { message, .. } => (Code::Unauthenticated, message),
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
