//! Whether a name leads to whoever wants a certificate for it.

use std::{net::SocketAddr, sync::Arc};

use ring::digest::{SHA256, digest};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::ring::default_provider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{Request, Wire};

/// The extension `acmeIdentifier`, critical, up to its 32 octets (RFC 8737, section 3).
const IDENTIFIER: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x01\x1f\x01\x01\xff\x04\x22\x04\x20";

/// RFC 8555, section 8.3.
pub(super) async fn over_http(addr: SocketAddr, domain: &str, token: &str, answer: &str) -> bool {
    let target = format!("/.well-known/acme-challenge/{token}");
    let found = Wire::connect(addr).await.ask(&Request::get(&target).host(domain)).await;
    found.head.status() == 200 && found.body == answer.as_bytes()
}

/// RFC 8737, section 3.
pub(super) async fn over_tls(addr: SocketAddr, domain: &str, answer: &str) -> bool {
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let verifier = Arc::new(Proof(digest(&SHA256, answer.as_bytes()).as_ref().to_vec()));
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    let name = ServerName::try_from(domain.to_owned()).unwrap();
    let tcp = TcpStream::connect(addr).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await;
    stream.is_ok_and(|stream| stream.get_ref().1.alpn_protocol() == Some(b"acme-tls/1"))
}

/// Takes a certificate that signs itself and holds the digest.
#[derive(Debug)]
struct Proof(Vec<u8>);

impl ServerCertVerifier for Proof {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let wanted = [IDENTIFIER, &self.0].concat();
        if chain.is_empty() && certificate.windows(wanted.len()).any(|found| found == wanted) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("no proof".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
