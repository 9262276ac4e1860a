use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, OnceLock},
};

use cli::{
    discreet,
    pem::{self, PemError},
};
use proto::auth;
use rustls::{ClientConfig, pki_types::ServerName, sign::SingleCertAndKey};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Transport,
    connect_request::Binding,
    reloading::Reloading,
    trust::{Peer, Trust},
};

mod explained;

pub(crate) use explained::Explained;

/// Whom to believe that it is the gateway, and what to show it. Cheap to clone.
///
/// Its files are looked at before each connection, and read again once they have changed: what they hold may be renewed at any
/// time. If they cannot be used then, what was read before counts on.
#[derive(Clone)]
pub struct GatewayTls {
    sources: Arc<Sources>,
    identities: Arc<Reloading<Identities>>,
    /// The name that the gateway's certificate must be for, if not that which is dialled.
    server_name: Option<ServerName<'static>>,
}

/// Where to read it.
#[derive(Clone, Default)]
struct Sources {
    anybody: bool,
    ca: Option<PathBuf>,
    /// A certificate and its key.
    own: Option<(PathBuf, PathBuf)>,
}

/// What was read.
struct Identities {
    trust: Trust,
    own: Option<Arc<SingleCertAndKey>>,
    /// Made for the first connection: reading the platform's certificates takes a while.
    config: OnceLock<ClientConfig>,
}

/// Whether the signature of an agent is bound to its TLS connection, so that nobody who opens the connection in between can pass
/// the signature on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelBinding {
    /// Where there is TLS; not if the gateway says that it sees none, which is warned of.
    #[default]
    Auto,
    /// Always, or there is no link.
    Require,
    /// Never.
    None,
}

/// A text that cannot be the name in a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a host name nor an address")]
pub struct InvalidServerName(String);

impl Sources {
    fn files(&self) -> Vec<PathBuf> {
        let own = self.own.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca.iter().chain(own).cloned().collect()
    }

    fn read(&self) -> Result<Identities, PemError> {
        let trust = Trust::read(self.ca.as_deref(), self.anybody)?;
        let read = |(cert, key): &(PathBuf, PathBuf)| pem::pair(cert, key, &cli::provider());
        let own = self.own.as_ref().map(read).transpose()?.map(|pair| Arc::new(pair.into()));
        Ok(Identities { trust, own, config: OnceLock::new() })
    }
}

impl GatewayTls {
    /// Trusts the certificates in a PEM file as well as the platform's. A gateway that shows one of them itself is believed
    /// as well.
    ///
    /// # Errors
    /// [`PemError`] unless every certificate in it can be used.
    pub fn with_ca(path: &Path) -> Result<Self, PemError> {
        Self::of(Sources { ca: Some(path.to_owned()), ..Sources::default() })
    }

    /// Believes anybody: who can come in between is the gateway.
    pub fn insecure() -> Self {
        Self::without_files(true)
    }

    fn without_files(anybody: bool) -> Self {
        let sources = Sources { anybody, ..Sources::default() };
        Self::of(sources).expect("no file is read where none is named")
    }

    fn of(sources: Sources) -> Result<Self, PemError> {
        let identities = Reloading::new(sources.files(), || sources.read())?;
        Ok(Self { sources: Arc::new(sources), identities: Arc::new(identities), server_name: None })
    }

    /// The same, and the gateway's certificate must be for `name` instead of the host that is dialled.
    ///
    /// # Errors
    /// [`InvalidServerName`].
    pub fn with_server_name(self, name: &str) -> Result<Self, InvalidServerName> {
        // A token would pass, and be shown to everybody on the way.
        let parsed = ServerName::try_from(name.to_owned()).ok().filter(|_| !discreet::is_token(name));
        let parsed = parsed.ok_or_else(|| InvalidServerName(name.to_owned()))?;
        Ok(Self { server_name: Some(parsed), ..self })
    }

    /// The same, and a certificate is shown to a gateway that asks for one.
    ///
    /// # Errors
    /// [`PemError`].
    pub fn with_certificate(self, cert: &Path, key: &Path) -> Result<Self, PemError> {
        let own = Some((cert.to_owned(), key.to_owned()));
        let tls = Self::of(Sources { own, ..(*self.sources).clone() })?;
        Ok(Self { server_name: self.server_name, ..tls })
    }

    /// With whom TLS is spoken on a connection to `host`.
    pub(crate) fn peer(&self, host: &str) -> Peer {
        match &self.server_name {
            Some(name) => Peer::Gateway { name: name.to_str().into_owned(), is_set: true },
            None => Peer::Gateway { name: host.to_owned(), is_set: false },
        }
    }

    /// Speaks TLS on a connection to `host`.
    ///
    /// # Errors
    /// What the other side did wrong; see [`explain`](trust::explain).
    pub(crate) async fn connect<S>(
        &self,
        host: &str,
        transport: Transport,
        stream: S,
    ) -> std::io::Result<(TlsStream<S>, Binding)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?,
        };
        let identities = self.identities.current(|| self.sources.read());
        let mut config = identities.config.get_or_init(|| identities.config()).clone();
        config.alpn_protocols = vec![match transport {
            Transport::Grpc => b"h2".to_vec(),
            Transport::WebSocket => b"http/1.1".to_vec(),
        }];
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let mut value = [0; auth::BINDING_LEN];
        let (_, connection) = stream.get_ref();
        connection
            .export_keying_material(&mut value, auth::BINDING_LABEL, None)
            .map_err(std::io::Error::other)?;
        Ok((stream, Binding::Tls(value)))
    }
}

impl Identities {
    fn config(&self) -> ClientConfig {
        let builder = self.trust.client("--ca-file");
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_cert_resolver(own.clone()),
        };
        // Without it the exporter of TLS 1.2 binds nothing (RFC 9266, section 3).
        config.require_ems = true;
        // A link lives long, and each must be between the same two keys from its beginning.
        config.resumption = rustls::client::Resumption::disabled();
        config
    }
}

impl FromStr for ChannelBinding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        clap::ValueEnum::from_str(text, true)
    }
}

impl Default for GatewayTls {
    fn default() -> Self {
        Self::without_files(false)
    }
}

impl fmt::Debug for GatewayTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sources, server_name, .. } = self;
        f.debug_struct("GatewayTls")
            .field("ca", &sources.ca)
            .field("insecure", &sources.anybody)
            .field("server_name", server_name)
            .field("certificate", &sources.own.as_ref().map(|(cert, _)| cert))
            .finish_non_exhaustive()
    }
}
