//! Certificates for one run: an authority that nobody knew before, and that is forgotten behind it.

use std::{fs, io, net::SocketAddr, path::PathBuf};

use proto::AgentId;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;

use super::DOMAIN;
use crate::{CertificateFiles, TlsConfig};

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// They cannot be made.
    #[error("cannot make certificates")]
    Generate(#[from] rcgen::Error),
    /// They cannot be written.
    #[error("cannot write certificates to a temporary directory")]
    Write(#[from] io::Error),
}

/// An authority, whose certificate is in a directory that ends with it. Its key is kept nowhere.
#[derive(Debug)]
pub(super) struct Authority {
    directory: TempDir,
}

impl Authority {
    /// Signs one certificate, for the agents called `ids` and for loopback.
    pub(super) fn new(ids: &[&AgentId]) -> Result<Self, AuthorityError> {
        let issuer = issuer()?;
        let key = KeyPair::generate()?;
        // Libraries do not take a wildcard directly below a top-level name, so each agent is named besides.
        let names = ids.iter().map(|id| format!("{id}.{DOMAIN}"));
        let names = names.chain([DOMAIN, "*.localhost", "127.0.0.1", "::1"].map(str::to_owned));
        let mut params = CertificateParams::new(names.collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, "indranet dev mode");
        let certificate = params.signed_by(&key, &issuer.0)?;
        let authority = Self { directory: tempfile::Builder::new().prefix("indranet-dev-").tempdir()? };
        let CertificateFiles { cert, key: key_file } = authority.files();
        fs::write(authority.ca_file(), issuer.1)?;
        fs::write(cert, certificate.pem())?;
        // The directory is its owner's only.
        fs::write(key_file, key.serialize_pem())?;
        Ok(authority)
    }

    /// The file with the authority's certificate.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// TLS on every port.
    pub(super) fn config(&self, https: SocketAddr) -> TlsConfig {
        let certificates = vec![self.files()];
        TlsConfig {
            https,
            certificates,
            acme: None,
            agents: true,
            client_ca: None,
            require_client_cert: false,
        }
    }

    fn files(&self) -> CertificateFiles {
        let path = self.directory.path();
        CertificateFiles { cert: path.join("cert.pem"), key: path.join("key.pem") }
    }
}

/// The authority, and its certificate as PEM.
fn issuer() -> Result<(Issuer<'static, KeyPair>, String), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "indranet dev mode authority");
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}
