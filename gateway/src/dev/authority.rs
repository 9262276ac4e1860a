//! Certificates for one run: an authority that nobody knew before, and that is forgotten behind it.

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use proto::AgentId;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
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
    certificate: CertificateDer<'static>,
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
        let directory = tempfile::Builder::new()
            .prefix("indranet-dev-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()?;
        let authority = Self { directory, certificate: issuer.1.der().clone() };
        let CertificateFiles { cert, key: key_file } = authority.files();
        fs::write(authority.ca_file(), issuer.1.pem())?;
        fs::write(cert, certificate.pem())?;
        write_secret(&key_file, &key.serialize_pem())?;
        Ok(authority)
    }

    /// The file with the authority's certificate.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A client that trusts this authority alone.
    pub(super) fn trusting_client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("it was made here");
        let builder = ClientConfig::builder_with_provider(cli::provider());
        let builder = builder.with_safe_default_protocol_versions().expect("providers know TLS 1.2 and 1.3");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
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

/// The authority, and its certificate.
fn issuer() -> Result<(Issuer<'static, KeyPair>, Certificate), rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "indranet dev mode authority");
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((Issuer::new(params, key), certificate))
}

/// Makes a file that nobody but its owner can read, whatever the umask leaves to others.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_its_owners_only() {
        let authority = Authority::new(&[]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(authority.directory.path()), 0o700);
        assert_eq!(mode(&authority.files().key), 0o600);
    }
}
