//! How an authority is reached: a connection for each request, of which there are a dozen in two months.

use std::{error::Error, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use cli::pem::PemError;
use http::{Request, Uri, header::HOST, uri::Scheme};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use tracing::warn;

use super::AcmeConfig;
use crate::tls;

/// For one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer; chains of certificates are the longest ones.
const MAX_ANSWER: usize = 256 * 1024;

type Failure = Box<dyn Error + Send + Sync>;

/// There is no answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask {uri}")]
pub(super) struct Unreachable {
    uri: Uri,
    source: Failure,
}

/// Speaks with an authority over TLS.
#[derive(Clone)]
pub(super) struct Transport {
    connector: TlsConnector,
}

impl Transport {
    /// One that trusts what the platform trusts, and the file that the configuration names.
    pub(super) fn new(config: &AcmeConfig) -> Result<Self, PemError> {
        let mut roots = match &config.ca_file {
            Some(path) => tls::authorities(path)?,
            None => RootCertStore::empty(),
        };
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            warn!("this platform trusts no certificate; name the authority's with --acme-ca-file");
        }
        let builder = ClientConfig::builder_with_provider(cli::provider());
        let builder = builder.with_safe_default_protocol_versions().expect("providers know TLS 1.2 and 1.3");
        let client = builder.with_root_certificates(roots).with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(client)) })
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let connector = self.connector.clone();
        Box::pin(async move {
            let uri = request.uri().clone();
            let answer = timeout(PATIENCE, exchange(connector, request)).await;
            let answer = answer.unwrap_or_else(|_elapsed| Err("no answer in time".into()));
            answer.map_err(|source| instant_acme::Error::Other(Box::new(Unreachable { uri, source })))
        })
    }
}

async fn exchange(
    connector: TlsConnector,
    mut request: Request<BodyWrapper<Bytes>>,
) -> Result<BytesResponse, Failure> {
    let uri = std::mem::take(request.uri_mut());
    let Some(authority) = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTPS)) else {
        return Err("an authority is spoken to over https only".into());
    };
    let host = authority.host().trim_matches(['[', ']']);
    let tcp = TcpStream::connect((host, authority.port_u16().unwrap_or(443))).await?;
    let stream = connector.connect(ServerName::try_from(host.to_owned())?, tcp).await?;
    request.headers_mut().insert(HOST, authority.as_str().parse()?);
    *request.uri_mut() = Uri::from(uri.path_and_query().cloned().ok_or("a URL without a path")?);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
    Ok(BytesResponse { parts, body: Box::new(body) })
}
