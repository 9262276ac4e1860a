use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use ::agent::GatewayTls;
use ::gateway::{CertificateFiles, TlsConfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SignatureAlgorithm,
};
use rustls::{
    ALL_VERSIONS, ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{DOMAIN, Gateway};

/// A client's connection over TLS.
pub type Secure = TlsStream<TcpStream>;

/// A client that speaks HTTP/1.1 alone.
pub const H1_ONLY: &[&str] = &["http/1.1"];
/// A client that speaks HTTP/2 alone.
pub const H2_ONLY: &[&str] = &["h2"];

/// An authority, and a directory for what it signs.
#[derive(Debug)]
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    directory: TempDir,
}

/// A certificate that was signed.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Where it and its key are.
    pub files: CertificateFiles,
    /// What a peer sees of it.
    pub der: CertificateDer<'static>,
}

impl Pki {
    /// A new authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { issuer: Issuer::new(params, key), certificate: certificate.der().clone(), directory }
    }

    /// The file with the authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Signs a certificate for host names and addresses, and writes it to files called `file`. What was there is replaced.
    pub fn issue(&self, file: &str, names: &[&str]) -> Issued {
        self.sign(file, "somebody", names, |_params| {})
    }

    /// A certificate that signed itself and is marked as an authority's, as `openssl req -x509` makes it.
    pub fn self_signed(&self, file: &str, names: &[&str]) -> Issued {
        let mut params =
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.write(file, &certificate, &key)
    }

    /// Signs a certificate whose subject is called `name`.
    pub fn issue_to(&self, name: &str) -> Issued {
        self.sign(name, name, &[], |_params| {})
    }

    /// The same, good from `from` until `until`.
    pub fn issue_for(&self, name: &str, from: SystemTime, until: SystemTime) -> Issued {
        self.sign(name, name, &[], |params| {
            params.not_before = from.into();
            params.not_after = until.into();
        })
    }

    fn sign(
        &self,
        file: &str,
        subject: &str,
        names: &[&str],
        adjust: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        adjust(&mut params);
        params.distinguished_name.push(DnType::CommonName, subject);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(file, &certificate, &key)
    }

    fn write(&self, file: &str, certificate: &rcgen::Certificate, key: &KeyPair) -> Issued {
        let path = |kind| self.directory.path().join(format!("{file}.{kind}"));
        let files = CertificateFiles { cert: path("pem"), key: path("key") };
        fs::write(&files.cert, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        Issued { files, der: certificate.der().clone() }
    }

    /// Signs a certificate for whoever has the private key to a point on P-256. Returns it in PEM.
    pub(crate) fn sign_point(&self, point: &[u8], name: &str, from: SystemTime, until: SystemTime) -> String {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.not_before = from.into();
        params.not_after = until.into();
        params.signed_by(&Point(point.to_vec()), &self.issuer).unwrap().pem()
    }

    /// A certificate for [`DOMAIN`], all agents below it, and loopback.
    pub fn usual(&self) -> Issued {
        self.issue("usual", &[DOMAIN, &format!("*.{DOMAIN}"), "127.0.0.1"])
    }

    /// What a gateway needs to show `certificates`, with TLS on every port.
    pub fn config(&self, certificates: &[&Issued]) -> TlsConfig {
        TlsConfig {
            https: SocketAddr::from(([127, 0, 0, 1], 0)),
            certificates: certificates.iter().map(|issued| issued.files.clone()).collect(),
            acme: None,
            agents: true,
            client_ca: None,
            require_client_cert: false,
        }
    }

    /// An agent's trust in this authority.
    pub fn trust(&self) -> GatewayTls {
        GatewayTls::with_ca(&self.ca_file()).unwrap()
    }

    /// The same, and a certificate of its own.
    pub fn trust_with(&self, issued: &Issued) -> GatewayTls {
        let CertificateFiles { cert, key } = &issued.files;
        self.trust().with_certificate(cert, key).unwrap()
    }

    /// How clients speak TLS that trust this authority.
    pub fn client(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        self.client_with(ALL_VERSIONS, alpn)
    }

    /// The same, in one version of TLS.
    pub fn client_of(&self, version: &'static SupportedProtocolVersion, alpn: &[&str]) -> Arc<ClientConfig> {
        self.client_with(&[version], alpn)
    }

    fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client's connection to the port for https, set up for the host `name`.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self, gateway: &Gateway, name: &str, alpn: &[&str]) -> io::Result<Secure> {
        self.connect_to(gateway.https(), name, alpn).await
    }

    /// The same, wherever that port is.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect_to(&self, https: SocketAddr, name: &str, alpn: &[&str]) -> io::Result<Secure> {
        let tcp = TcpStream::connect(https).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(self.client(alpn)).connect(name, tcp).await
    }

    /// The directory with the files.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// A public key.
struct Point(Vec<u8>);

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}
