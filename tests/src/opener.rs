use std::{net::SocketAddr, sync::Arc};

use ::gateway::CertificateFiles;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, server::TlsStream};
use tokio_util::task::AbortOnDropHandle;

use crate::{Issued, Pki};

/// Somebody between agent and gateway who ends the agent's TLS with a certificate that the agent trusts, and passes on what is
/// inside.
#[derive(Debug)]
pub struct Opener {
    addr: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

/// How it is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// As it is, as a proxy in front of a gateway does.
    Plain,
    /// Over another TLS connection, as somebody does who listens.
    Tls,
}

impl Opener {
    /// Shows `issued` and passes on one connection each way, and all others the last way.
    pub async fn start(pki: &Pki, issued: &Issued, ways: &[(SocketAddr, Onward)]) -> Self {
        let CertificateFiles { cert, key } = &issued.files;
        let chain = CertificateDer::pem_file_iter(cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = TlsConnector::from(pki.client(&["h2", "http/1.1"]));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(run(listener, TlsAcceptor::from(Arc::new(config)), ways.to_vec(), connector));
        Self { addr, _task: AbortOnDropHandle::new(task) }
    }

    /// Where to connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

async fn run(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ways: Vec<(SocketAddr, Onward)>,
    connector: TlsConnector,
) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (near, _) = listener.accept().await.unwrap();
        let (acceptor, connector) = (acceptor.clone(), connector.clone());
        let way = ways[number.min(ways.len() - 1)];
        connections.spawn(async move {
            // An agent that does not trust it leaves, and that is what its scenario is about.
            if let Ok(near) = acceptor.accept(near).await {
                pass_on(near, way, connector).await;
            }
        });
    }
}

async fn pass_on(mut near: TlsStream<TcpStream>, way: (SocketAddr, Onward), connector: TlsConnector) {
    let (target, onward) = way;
    // A target that is not up again yet is a network without a route.
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = match onward {
        Onward::Plain => copy_bidirectional(&mut near, &mut far).await,
        Onward::Tls => {
            let mut far = connector.connect(ServerName::from(target.ip()), far).await.unwrap();
            copy_bidirectional(&mut near, &mut far).await
        }
    }; // either side may break off
}
