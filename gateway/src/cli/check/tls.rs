//! Certificates, and what they are for.

use gateway::{CertificateFiles, TlsConfig};

use super::{ConfigError, acme, everywhere};
use crate::cli::settings::{CertificateSettings, Settings};

/// How to speak TLS; `None` without a certificate. The files are not looked at yet.
pub(super) fn tls(settings: &Settings) -> Result<Option<TlsConfig>, ConfigError> {
    let certificates = certificates(settings)?;
    let acme = acme::acme(settings)?;
    if certificates.is_empty() && acme.is_none() {
        return without(settings).map(|()| None);
    }
    let config = TlsConfig {
        https: settings.https.unwrap_or(everywhere(8443)),
        certificates,
        acme,
        agents: settings.agents_tls.unwrap_or(true),
        client_ca: settings.client_ca.clone(),
        require_client_cert: settings.require_client_cert.unwrap_or(false),
    };
    if config.client_ca.is_some() && !config.agents {
        return Err(ConfigError::PlainAgents);
    }
    if config.require_client_cert && config.client_ca.is_none() {
        return Err(ConfigError::NoClientCa);
    }
    Ok(Some(config))
}

/// Pairs that are given as flags or variables replace those of the file.
fn certificates(settings: &Settings) -> Result<Vec<CertificateFiles>, ConfigError> {
    let (certs, keys) = (&settings.tls_cert, &settings.tls_key);
    if certs.len() != keys.len() {
        return Err(ConfigError::Pairs { certs: certs.len(), keys: keys.len() });
    }
    let given = certs.iter().zip(keys).map(|(cert, key)| (cert.clone(), key.clone()));
    let in_file = settings.certificate.iter().map(|pair| (pair.cert.clone(), pair.key.clone()));
    let pairs: Vec<_> = if certs.is_empty() { in_file.collect() } else { given.collect() };
    Ok(pairs.into_iter().map(|(cert, key)| CertificateFiles { cert, key }).collect())
}

/// What makes no sense without a certificate.
fn without(settings: &Settings) -> Result<(), ConfigError> {
    let asked = [
        ("--https", settings.https.is_some()),
        ("--agents-tls", settings.agents_tls == Some(true)),
        ("--client-ca", settings.client_ca.is_some()),
        ("--require-client-cert", settings.require_client_cert == Some(true)),
    ];
    if let Some((flag, _)) = asked.into_iter().find(|(_, is_asked)| *is_asked) {
        return Err(ConfigError::NoCertificate(flag));
    }
    if settings.redirect_to_https == Some(true) && settings.trusted_proxy.is_empty() {
        return Err(ConfigError::NoHttps);
    }
    Ok(())
}

/// The settings that would give the same again.
pub(super) fn with(tls: TlsConfig, settings: Settings) -> Settings {
    let settings = match tls.acme {
        Some(acme) => acme::with(acme, settings),
        None => settings,
    };
    let pair = |CertificateFiles { cert, key }| CertificateSettings { cert, key };
    Settings {
        https: Some(tls.https),
        certificate: tls.certificates.into_iter().map(pair).collect(),
        agents_tls: Some(tls.agents),
        client_ca: tls.client_ca,
        require_client_cert: Some(tls.require_client_cert),
        ..settings
    }
}
