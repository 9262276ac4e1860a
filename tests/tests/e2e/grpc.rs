//! gRPC through the tunnel: a real client, a real service, and a service that speaks HTTP/2 call by call.

use std::{future::poll_fn, net::SocketAddr, time::Duration};

use ::agent::{Http2, Upstream};
use tests::{AGENT, Agent, Gateway, Transport, Tunnel, over_every_transport, within};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::{Code, transport::Channel};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_check_response, health_client::HealthClient},
    server::{HealthReporter, HealthService},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

over_every_transport![
    a_unary_call_is_answered,
    a_call_that_fails_tells_its_status_and_nothing_else,
    a_service_streams,
    both_sides_stream,
    a_client_that_leaves_cancels_the_call_at_the_service,
    a_deadline_reaches_the_service,
];

/// A tunnel to a service that gets gRPC in HTTP/2.
async fn tunnel(transport: Transport, upstream: SocketAddr) -> Tunnel {
    let gateway = Gateway::start().await;
    let mut config = Agent::config(transport, gateway.port(transport), AGENT, upstream);
    config.upstream = Upstream { http2: Http2::ForGrpc, ..Upstream::at(upstream) };
    let mut agent = Agent::start_with(config);
    agent.online().await;
    Tunnel { gateway, agent }
}

/// A client of the public port that asks for the agent.
async fn channel(tunnel: &Tunnel) -> Channel {
    let endpoint =
        tonic::transport::Endpoint::from_shared(format!("http://{}", tunnel.gateway.http())).unwrap();
    endpoint.origin("http://myapp.tunnel.test".parse().unwrap()).connect().await.unwrap()
}

/// The standard services for health and reflection.
async fn service() -> (SocketAddr, HealthReporter) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let reporter = HealthReporter::new();
    let health = tonic_health::pb::health_server::HealthServer::new(HealthService::from_health_reporter(
        reporter.clone(),
    ));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(health).add_service(reflection);
    tokio::spawn(server.serve_with_incoming(incoming)); // ends with the runtime of the scenario
    (address, reporter)
}

fn about(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn a_unary_call_is_answered(transport: Transport) {
    let (upstream, _reporter) = service().await;
    let tunnel = tunnel(transport, upstream).await;
    let mut client = HealthClient::new(channel(&tunnel).await);
    for _ in 0..3 {
        let answer = client.check(about("")).await.unwrap().into_inner();
        assert_eq!(answer.status(), health_check_response::ServingStatus::Serving);
    }
}

async fn a_call_that_fails_tells_its_status_and_nothing_else(transport: Transport) {
    let (upstream, _reporter) = service().await;
    let tunnel = tunnel(transport, upstream).await;
    let mut client = HealthClient::new(channel(&tunnel).await);
    let status = client.check(about("nothing")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "service not registered"));
}

async fn a_service_streams(transport: Transport) {
    let (upstream, reporter) = service().await;
    let tunnel = tunnel(transport, upstream).await;
    let mut client = HealthClient::new(channel(&tunnel).await);
    let mut changes = client.watch(about("")).await.unwrap().into_inner();
    let mut expected = health_check_response::ServingStatus::Serving;
    for next in [ServingStatus::NotServing, ServingStatus::Serving, ServingStatus::NotServing] {
        assert_eq!(changes.next().await.unwrap().unwrap().status(), expected);
        reporter.set_service_status("", next).await;
        expected = match next {
            ServingStatus::Serving => health_check_response::ServingStatus::Serving,
            _ => health_check_response::ServingStatus::NotServing,
        };
    }
    assert_eq!(changes.next().await.unwrap().unwrap().status(), expected);
}

async fn both_sides_stream(transport: Transport) {
    let (upstream, _reporter) = service().await;
    let tunnel = tunnel(transport, upstream).await;
    let mut client = ServerReflectionClient::new(channel(&tunnel).await);
    let (ask, questions) = mpsc::channel(1);
    let question = || ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    ask.send(question()).await.unwrap();
    let mut answers =
        client.server_reflection_info(ReceiverStream::new(questions)).await.unwrap().into_inner();
    for _ in 0..3 {
        assert!(answers.next().await.unwrap().unwrap().message_response.is_some());
        ask.send(question()).await.unwrap();
    }
    assert!(answers.next().await.unwrap().is_ok());
    drop(ask);
    assert!(answers.next().await.is_none(), "a clean end with status 0");
}

/// The next call at a service that never answers.
async fn call(
    listener: &TcpListener,
) -> (http::Request<h2::RecvStream>, h2::server::SendResponse<bytes::Bytes>) {
    let (stream, _agent) = listener.accept().await.unwrap();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let call = connection.accept().await.unwrap().unwrap();
    tokio::spawn(async move { while connection.accept().await.is_some() {} }); // until the agent is gone
    call
}

async fn a_client_that_leaves_cancels_the_call_at_the_service(transport: Transport) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let tunnel = tunnel(transport, listener.local_addr().unwrap()).await;
    let mut client = HealthClient::new(channel(&tunnel).await);
    let asking = tokio::spawn(async move { client.check(about("")).await });
    let (_request, mut respond) = call(&listener).await;
    asking.abort();
    let reason = within(poll_fn(|cx| respond.poll_reset(cx))).await.unwrap();
    assert_eq!(reason, h2::Reason::CANCEL);
}

async fn a_deadline_reaches_the_service(transport: Transport) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let tunnel = tunnel(transport, listener.local_addr().unwrap()).await;
    let mut client = HealthClient::new(channel(&tunnel).await);
    let mut question = tonic::Request::new(about(""));
    question.set_timeout(Duration::from_secs(9));
    let _asking = tokio::spawn(async move { client.check(question).await });
    let (request, _respond) = call(&listener).await;
    assert_eq!(request.headers()["grpc-timeout"], "9000000u");
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(request.uri(), "http://myapp.tunnel.test/grpc.health.v1.Health/Check");
}
