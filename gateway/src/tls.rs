//! TLS on the ports of clients and agents: which certificate a connection is shown, and what is read from files that may
//! change at any time.
//!
//! - [`TlsConfig`]: which files, and what they are for.
//! - `Tls`: what was read from them last. A connection keeps what it began with.
//! - `Security`: what a port speaks.
//!
//! Invariant: only TLS 1.2 and 1.3, and nothing before the handshake is over (no 0-RTT).

mod certificates;
mod concerns;
mod files;
mod hello;
mod names;
mod refusals;
mod security;
mod validity;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use cli::pem::PemError;
use prometheus_client::metrics::{counter::Counter, family::Family};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};

use crate::{
    acme::{self, AcmeConfig, Challenges},
    grpc,
};
use certificates::Certificates;
#[cfg(feature = "acme")]
pub(crate) use files::{authorities, first, validity};
pub(crate) use hello::{Hello, hello};
#[cfg(feature = "acme")]
pub(crate) use names::dns;
use refusals::Refusals;
pub(crate) use security::{Security, is_handshake, refuse, refuse_greeting};
pub(crate) use validity::Validity;

/// How a gateway speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Public HTTPS.
    pub https: SocketAddr,
    /// The first one is shown to whoever asks for a name that none is for. If there are none, `acme` orders some.
    pub certificates: Vec<CertificateFiles>,
    /// For which names certificates are ordered, and from whom.
    pub acme: Option<AcmeConfig>,
    /// Whether the agents' ports speak TLS as well, and nothing else.
    pub agents: bool,
    /// Who signs the certificates of agents, if they have some.
    pub client_ca: Option<PathBuf>,
    /// Whether agents must show one.
    pub require_client_cert: bool,
}

/// A certificate with its chain, and its key, both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and behind it those that lead to its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl TlsConfig {
    /// Reads every file. Warns in the log of what is odd in those that can be used: certificates that have expired or soon
    /// will, or are not for any of `hosts`, which are [`Config::hosts`](crate::Config::hosts), and keys that everybody can
    /// read.
    ///
    /// # Errors
    /// [`PemError`] names the file that cannot be used.
    pub fn check(&self, hosts: &[String]) -> Result<(), PemError> {
        if let Some(path) = self.acme.as_ref().and_then(|acme| acme.ca_file.as_ref()) {
            files::authorities(path)?;
        }
        let configs = Configs::read(self, &Arc::default())?;
        for (pair, certified) in self.certificates.iter().zip(&configs.given) {
            concerns::warn_of(pair, certified, hosts);
        }
        Ok(())
    }

    /// The files, to be followed.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let pairs = self.certificates.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        let ordered = self.acme.iter().flat_map(AcmeConfig::files);
        pairs.chain(&self.client_ca).cloned().chain(ordered).collect()
    }
}

/// What the ports show, as it was read last.
#[derive(Debug)]
pub(crate) struct Tls {
    config: TlsConfig,
    /// What certificates should be for.
    hosts: Vec<String>,
    challenges: Arc<Challenges>,
    current: ArcSwap<Configs>,
    refusals: Refusals,
}

/// Whose port it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Clients,
    Grpc,
    WebSocket,
}

impl Port {
    /// The transport, as logs and metrics call it; that of clients has none.
    fn transport(self) -> &'static str {
        match self {
            Self::Clients => "http",
            Self::Grpc => grpc::TRANSPORT,
            Self::WebSocket => ws_bridge::server::TRANSPORT,
        }
    }
}

#[derive(Debug)]
struct Configs {
    /// In the order of the configuration, without those that were ordered.
    given: Vec<Arc<CertifiedKey>>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    certificates: Arc<Certificates>,
    clients: Arc<ServerConfig>,
    grpc: Arc<ServerConfig>,
    web_socket: Arc<ServerConfig>,
}

impl Tls {
    /// Reads the files. `hosts` are those that certificates should be for.
    ///
    /// # Errors
    /// [`PemError`].
    pub(crate) fn read(config: TlsConfig, hosts: Vec<String>) -> Result<Self, PemError> {
        let challenges = Arc::default();
        let current = ArcSwap::from_pointee(Configs::read(&config, &challenges)?);
        Ok(Self { config, hosts, challenges, current, refusals: Refusals::default() })
    }

    /// Reads the files again. Each that cannot be used leaves its certificate as it is, and is returned.
    pub(crate) fn reload(&self) -> Vec<PemError> {
        let last = self.current.load();
        let (renewed, errors) = last.renewed(&self.config, &self.challenges);
        let changed = last.given.iter().zip(&renewed.given).map(|(last, now)| last.cert != now.cert);
        for ((pair, certified), changed) in self.config.certificates.iter().zip(&renewed.given).zip(changed) {
            if changed {
                concerns::warn_of(pair, certified, &self.hosts);
            }
        }
        self.current.store(Arc::new(renewed));
        errors
    }

    /// What an authority that looks for names is answered.
    pub(crate) fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }

    /// Until when the certificates are good, by a name that each is for.
    pub(crate) fn expiries(&self) -> BTreeMap<String, SystemTime> {
        self.current.load().certificates.expiries()
    }

    /// How many handshakes have failed because of the agent's certificate, by reason.
    pub(crate) fn refusals(&self) -> Family<[(&'static str, &'static str); 1], Counter> {
        self.refusals.counts()
    }

    /// What a new connection is spoken to with.
    fn config(&self, port: Port) -> Arc<ServerConfig> {
        let configs = self.current.load();
        Arc::clone(match port {
            Port::Clients => &configs.clients,
            Port::Grpc => &configs.grpc,
            Port::WebSocket => &configs.web_socket,
        })
    }
}

impl Configs {
    fn read(config: &TlsConfig, challenges: &Arc<Challenges>) -> Result<Self, PemError> {
        let provider = cli::provider();
        let given = config.certificates.iter().map(|pair| files::certificate(pair, &provider));
        let given = given.collect::<Result<_, _>>()?;
        let verifier = verifier(config, &provider)?;
        Ok(Self::new(config, challenges, given, verifier))
    }

    /// What it is after the files have changed. What cannot be read stays as it was.
    fn renewed(&self, config: &TlsConfig, challenges: &Arc<Challenges>) -> (Self, Vec<PemError>) {
        let provider = cli::provider();
        let mut errors = Vec::new();
        let mut given = self.given.clone();
        for (last, pair) in given.iter_mut().zip(&config.certificates) {
            match files::certificate(pair, &provider) {
                Ok(now) => *last = now,
                Err(error) => errors.push(error),
            }
        }
        let verifier = verifier(config, &provider).unwrap_or_else(|error| {
            errors.push(error);
            self.verifier.clone()
        });
        (Self::new(config, challenges, given, verifier), errors)
    }

    fn new(
        config: &TlsConfig,
        challenges: &Arc<Challenges>,
        given: Vec<Arc<CertifiedKey>>,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Self {
        let provider = cli::provider();
        let ordered = config.acme.iter().flat_map(AcmeConfig::files);
        let ordered = ordered.filter_map(|file| files::ordered(file, &provider));
        let all = given.iter().cloned().chain(ordered).collect();
        let certificates = Arc::new(Certificates::new(all, Arc::clone(challenges)));
        let make = |alpn: &[&[u8]], verifier: Option<&Arc<dyn ClientCertVerifier>>| {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
            let builder =
                builder.with_safe_default_protocol_versions().expect("providers know TLS 1.2 and 1.3");
            let builder = match verifier {
                Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
                None => builder.with_no_client_auth(),
            };
            let mut config = builder.with_cert_resolver(Arc::<Certificates>::clone(&certificates));
            config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
            config
        };
        let agents = |alpn| {
            let mut config = make(alpn, verifier.as_ref());
            // Without it the exporter of TLS 1.2 binds nothing (RFC 9266, section 3).
            config.require_ems = true;
            // Who resumes shows no certificate: one that has expired, or whose authority was taken away, would go on.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Arc::new(config)
        };
        let mut clients = make(&[b"h2", b"http/1.1"], None);
        if config.acme.is_some() {
            clients.alpn_protocols.push(acme::ALPN.to_vec());
        }
        Self {
            clients: Arc::new(clients),
            grpc: agents(&[b"h2"]),
            web_socket: agents(&[b"http/1.1"]),
            certificates,
            given,
            verifier,
        }
    }
}

/// Who may show which certificate of its own.
fn verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, PemError> {
    let Some(path) = &config.client_ca else { return Ok(None) };
    let roots = Arc::new(files::authorities(path)?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = if config.require_client_cert { builder } else { builder.allow_unauthenticated() };
    Ok(Some(builder.build().expect("there is an authority, and nothing is revoked")))
}
