use std::{io::Write as _, sync::Arc};

use bytes::Bytes;
use proto::{HttpVersion, TunnelRequest, limits, tunnel_close::Reason};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    http2,
    scene::{OK, Scene, config, fields, get, request, within},
};
use crate::{Config, Http2, Upstream, UpstreamTls};

/// A service behind TLS, and what one needs to know it by.
struct Service {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    certificate: String,
}

impl Service {
    async fn start(name: &str, alpn: &[&str]) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
        let provider = cli::provider();
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), certificate: cert.pem() }
    }

    /// An agent in front of it that trusts `tls`.
    async fn agent(&self, host: &str, http2: Http2, upstream_tls: UpstreamTls) -> Scene {
        let port = self.listener.local_addr().unwrap().port();
        let upstream = Upstream { host: host.to_owned(), port, tls: true, http2 };
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Scene::with(unused, &Config { upstream_tls, ..config(upstream) }, limits::INITIAL_WINDOW)
    }

    /// An agent that was told of the certificate.
    async fn trusted(&self, http2: Http2) -> Scene {
        self.agent("127.0.0.1", http2, self.ca()).await
    }

    fn ca(&self) -> UpstreamTls {
        let path = std::env::temp_dir().join(format!("indranet-ca-{}.pem", uuid::Uuid::new_v4()));
        std::fs::File::create(&path).unwrap().write_all(self.certificate.as_bytes()).unwrap();
        let tls = UpstreamTls::with_ca(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        tls
    }

    async fn accept(&self) -> TlsStream<TcpStream> {
        let (stream, _) = within(self.listener.accept()).await.unwrap();
        within(self.acceptor.accept(stream)).await.unwrap()
    }
}

async fn head(stream: &mut TlsStream<TcpStream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn write(stream: &mut TlsStream<TcpStream>, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
}

fn grpc() -> TunnelRequest {
    TunnelRequest { headers: fields(&[("content-type", b"application/grpc")]), ..request("POST") }
}

#[tokio::test]
async fn a_service_behind_tls_is_served_on_connections_that_are_used_again() {
    let service = Service::start("127.0.0.1", &["h2", "http/1.1"]).await;
    let mut scene = service.trusted(Http2::ForGrpc).await;
    let id = scene.ask(get());
    let mut stream = service.accept().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        assert!(head(&mut stream).await.starts_with("GET /a?b HTTP/1.1\r\n"));
        write(&mut stream, OK).await;
        if scene.response(id).await.body == b"ok" {
            break;
        }
    }
    let id = scene.ask(get());
    head(&mut stream).await;
    write(&mut stream, OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
}

#[tokio::test]
async fn the_name_of_the_service_is_asked_for() {
    let service = Service::start("localhost", &[]).await;
    let mut scene = service.agent("localhost", Http2::Never, service.ca()).await;
    scene.ask(get());
    let stream = service.accept().await;
    assert_eq!(stream.get_ref().1.server_name(), Some("localhost"));
}

#[tokio::test]
async fn a_service_that_nobody_vouches_for_is_not_asked() {
    let service = Service::start("127.0.0.1", &[]).await;
    let stranger = Service::start("127.0.0.1", &[]).await;
    let misnamed = Service::start("elsewhere", &[]).await;
    for (service, tls, remedy) in [
        (&service, UpstreamTls::default(), "name who signed it with --upstream-ca FILE"),
        (&service, stranger.ca(), "name who signed it with --upstream-ca FILE"),
        (&misnamed, misnamed.ca(), "is not for 127.0.0.1 (it is for elsewhere)"),
    ] {
        let mut scene = service.agent("127.0.0.1", Http2::Never, tls).await;
        let id = scene.ask(get());
        let (stream, _) = within(service.listener.accept()).await.unwrap();
        assert!(within(service.acceptor.accept(stream)).await.is_err());
        assert_eq!(scene.aborted(id).await, Reason::UpstreamConnect);
        let error = scene.over_with().await.1.unwrap();
        assert!(error.contains("the local service's certificate") && error.contains(remedy), "{error}");
    }
}

#[tokio::test]
async fn an_insecure_agent_believes_anybody() {
    let service = Service::start("elsewhere", &[]).await;
    let mut scene = service.agent("127.0.0.1", Http2::Never, UpstreamTls::insecure()).await;
    let id = scene.ask(get());
    let mut stream = service.accept().await;
    head(&mut stream).await;
    write(&mut stream, OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
}

#[tokio::test]
async fn http2_is_spoken_if_the_service_offers_it() {
    for (policy, request) in [(Http2::IfOffered, get()), (Http2::ForGrpc, grpc())] {
        let service = Service::start("127.0.0.1", &["h2", "http/1.1"]).await;
        let mut scene = service.trusted(policy).await;
        let id = scene.ask(request);
        let stream = service.accept().await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (calls, mut heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            http2::accept(h2::server::handshake(stream).await.unwrap(), calls).await;
        });
        let mut call: http2::Call = within(heard.recv()).await.unwrap();
        assert_eq!(call.request.uri().scheme_str(), Some("https"));
        call.answer("ok");
        let response = scene.response(id).await;
        assert_eq!((&response.body[..], response.head.version()), (&b"ok"[..], HttpVersion::HttpVersion2));
    }
}

#[tokio::test]
async fn http1_is_spoken_with_a_service_that_has_no_better() {
    for alpn in [&["http/1.1"][..], &[]] {
        let service = Service::start("127.0.0.1", alpn).await;
        let mut scene = service.trusted(Http2::IfOffered).await;
        let id = scene.ask(get());
        let mut stream = service.accept().await;
        assert!(head(&mut stream).await.starts_with("GET /a?b HTTP/1.1\r\n"));
        write(&mut stream, OK).await;
        assert_eq!(scene.response(id).await.body, b"ok");
        // The same connection again.
        let id = scene.ask(get());
        head(&mut stream).await;
        write(&mut stream, OK).await;
        assert_eq!(scene.response(id).await.body, b"ok");
    }
}

#[tokio::test]
async fn an_end_that_tls_does_not_confirm_is_a_cut() {
    let service = Service::start("127.0.0.1", &[]).await;
    let mut scene = service.trusted(Http2::Never).await;
    for clean in [true, false] {
        let id = scene.ask(get());
        let mut stream = service.accept().await;
        head(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\n\r\nall of it").await;
        let head = scene.head(id).await;
        if clean {
            stream.shutdown().await.unwrap();
            assert_eq!(scene.rest(id, head).await.body, b"all of it");
        } else {
            drop(stream);
            assert_eq!(scene.aborted(id).await, Reason::UpstreamReset);
        }
    }
}

#[tokio::test]
async fn bytes_go_both_ways_over_tls() {
    let service = Service::start("127.0.0.1", &["h2", "http/1.1"]).await;
    let mut scene = service.trusted(Http2::IfOffered).await;
    let id = scene.ask(TunnelRequest { upgrade: "echo".to_owned(), end_stream: false, ..get() });
    let mut stream = service.accept().await;
    head(&mut stream).await;
    write(&mut stream, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhi")
        .await;
    let head = scene.head(id).await;
    scene.data(id, Bytes::from(vec![b'x'; 30_000]), true);
    let mut received = Vec::new();
    within(stream.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received.len(), 30_000);
    stream.shutdown().await.unwrap();
    assert_eq!(scene.rest(id, head).await.body, b"hi");
    assert_eq!(scene.over_with().await, (Some(101), None));
}
