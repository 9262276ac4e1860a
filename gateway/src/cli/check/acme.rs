//! Certificates that are ordered, and from whom.

use std::net::IpAddr;

use gateway::{
    ACME, AcmeConfig, ExternalAccount, LETS_ENCRYPT, LETS_ENCRYPT_STAGING, Retry, edge::is_host_name,
};
use http::Uri;

use super::ConfigError;
use crate::cli::settings::Settings;

/// What to order; `None` without a name.
pub(super) fn acme(settings: &Settings) -> Result<Option<AcmeConfig>, ConfigError> {
    if settings.acme_domain.is_empty() {
        return without(settings).map(|()| None);
    }
    if !ACME {
        return Err(ConfigError::WithoutAcme);
    }
    let domains = domains(&settings.acme_domain)?;
    let directory = directory(settings)?;
    if settings.acme_agree_tos != Some(true) {
        return Err(ConfigError::AcmeTerms(directory));
    }
    Ok(Some(AcmeConfig {
        directory,
        domains,
        contacts: contacts(&settings.acme_contact)?,
        cache: settings.acme_cache.clone().ok_or(ConfigError::NoAcmeCache)?,
        ca_file: settings.acme_ca_file.clone(),
        external_account: external_account(settings)?,
        challenge: settings.acme_challenge,
        retry: Retry::default(),
    }))
}

/// What makes no sense without a name.
fn without(settings: &Settings) -> Result<(), ConfigError> {
    let asked = [
        ("--acme-agree-tos", settings.acme_agree_tos == Some(true)),
        ("--acme-cache", settings.acme_cache.is_some()),
        ("--acme-contact", !settings.acme_contact.is_empty()),
        ("--acme-directory", settings.acme_directory.is_some()),
        ("--acme-staging", settings.acme_staging == Some(true)),
        ("--acme-ca-file", settings.acme_ca_file.is_some()),
        ("--acme-eab-kid", settings.acme_eab_kid.is_some()),
        ("--acme-eab-key-file", settings.acme_eab_key_file.is_some()),
        ("--acme-challenge", settings.acme_challenge.is_some()),
    ];
    match asked.into_iter().find(|(_, is_asked)| *is_asked) {
        Some((flag, _)) => Err(ConfigError::NoAcmeDomain(flag)),
        None => Ok(()),
    }
}

/// Lower case, each once. A file is called after each.
fn domains(given: &[String]) -> Result<Vec<String>, ConfigError> {
    let mut domains = Vec::new();
    for text in given {
        let domain = text.trim().trim_end_matches('.').to_ascii_lowercase();
        if domain.contains('*') {
            return Err(ConfigError::AcmeWildcard(domain));
        }
        if !is_host_name(&domain) || domain.parse::<IpAddr>().is_ok() {
            return Err(ConfigError::AcmeDomain(text.clone()));
        }
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}

fn directory(settings: &Settings) -> Result<String, ConfigError> {
    let staging = settings.acme_staging == Some(true);
    match &settings.acme_directory {
        Some(_) if staging => Err(ConfigError::TwoAuthorities),
        None if staging => Ok(LETS_ENCRYPT_STAGING.to_owned()),
        None => Ok(LETS_ENCRYPT.to_owned()),
        Some(url) => {
            let uri = url.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("https"));
            uri.map(|_| url.clone()).ok_or_else(|| ConfigError::AcmeDirectory(url.clone()))
        }
    }
}

/// Whether an authority takes a contact is for it to say.
fn contacts(given: &[String]) -> Result<Vec<String>, ConfigError> {
    let is_url = |text: &str| {
        text.split_once(':').is_some_and(|(scheme, rest)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !rest.is_empty()
        })
    };
    match given.iter().find(|text| !is_url(text)) {
        Some(text) => Err(ConfigError::AcmeContact(text.clone())),
        None => Ok(given.to_vec()),
    }
}

/// The file is read here only to be checked.
fn external_account(settings: &Settings) -> Result<Option<ExternalAccount>, ConfigError> {
    let account = match (&settings.acme_eab_kid, &settings.acme_eab_key_file) {
        (None, None) => return Ok(None),
        (Some(key_id), Some(key_file)) => {
            ExternalAccount { key_id: key_id.trim().to_owned(), key_file: key_file.clone() }
        }
        (Some(_), None) => return Err(ConfigError::AcmeEabPair { missing: "--acme-eab-key-file" }),
        (None, Some(_)) => return Err(ConfigError::AcmeEabPair { missing: "--acme-eab-kid" }),
    };
    if !account.has_usable_id() {
        return Err(ConfigError::AcmeEabKid);
    }
    account.check()?;
    Ok(Some(account))
}

/// The settings that would give the same again.
pub(super) fn with(acme: AcmeConfig, settings: Settings) -> Settings {
    let external = acme.external_account.map(|account| (account.key_id, account.key_file));
    let (acme_eab_kid, acme_eab_key_file) = external.unzip();
    Settings {
        acme_eab_kid,
        acme_eab_key_file,
        acme_domain: acme.domains,
        acme_agree_tos: Some(true),
        acme_cache: Some(acme.cache),
        acme_contact: acme.contacts,
        acme_directory: Some(acme.directory),
        acme_ca_file: acme.ca_file,
        acme_challenge: acme.challenge,
        ..settings
    }
}

#[cfg(all(test, feature = "acme"))]
mod tests {
    use super::*;

    fn settings(domain: &str) -> Settings {
        Settings {
            acme_domain: vec![domain.to_owned()],
            acme_agree_tos: Some(true),
            acme_cache: Some("/cache".into()),
            acme_contact: vec!["mailto:ops@example.com".to_owned()],
            ..Settings::default()
        }
    }

    fn error(settings: &Settings) -> String {
        acme(settings).map(|_| ()).expect_err("it is wrong").to_string()
    }

    #[test]
    fn what_is_written_out_gives_the_same_again() {
        let config = acme(&settings("MyApp.Example.com.")).unwrap().unwrap();
        assert_eq!(
            (config.domains[0].as_str(), config.directory.as_str()),
            ("myapp.example.com", LETS_ENCRYPT)
        );
        let again = acme(&with(config.clone(), Settings::default())).unwrap().unwrap();
        assert_eq!(format!("{again:?}"), format!("{config:?}"));
    }

    #[test]
    fn an_external_account_is_whole_or_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("eab");
        std::fs::write(&key, "c2VjcmV0\n").unwrap();
        let with_both = |kid: Option<&str>, file: Option<&std::path::Path>| Settings {
            acme_eab_kid: kid.map(str::to_owned),
            acme_eab_key_file: file.map(Into::into),
            ..settings("a.example.com")
        };
        for half in [with_both(Some("kid-1"), None), with_both(None, Some(&key))] {
            let error = error(&half);
            assert!(error.contains("--acme-eab-kid") && error.contains("--acme-eab-key-file"), "{error}");
        }
        assert!(error(&with_both(Some("a b"), Some(&key))).contains("--acme-eab-kid"));
        assert!(error(&with_both(Some("kid-1"), Some(directory.path()))).contains("--acme-eab-key-file"));
        let config = acme(&with_both(Some("kid-1"), Some(&key))).unwrap().unwrap();
        let written = with(config.clone(), Settings::default());
        assert!(!format!("{written:?}").contains("c2Vj"), "only the file is named");
        assert_eq!(acme(&written).unwrap().unwrap().external_account, config.external_account);
    }

    #[test]
    fn a_wildcard_is_refused_with_the_remedy() {
        let error = error(&settings("*.example.com"));
        assert!(error.contains("dns-01") && error.contains("--tls-cert"), "{error}");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(error(&settings("192.0.2.7")).contains("`192.0.2.7` is not a host name"));
        assert!(error(&settings("../etc")).contains("is not a host name"));
        let good = settings("a.example.com");
        let terms = Settings { acme_agree_tos: None, ..good.clone() };
        assert!(error(&terms).contains("--acme-agree-tos"));
        let cache = Settings { acme_cache: None, ..good.clone() };
        assert!(error(&cache).contains("--acme-cache"));
        let directory = Settings { acme_directory: Some("http://ca".to_owned()), ..good.clone() };
        assert!(error(&directory).contains("`http://ca`"));
        let contact = Settings { acme_contact: vec!["ops@example.com".to_owned()], ..good.clone() };
        assert!(error(&contact).contains("`ops@example.com`"));
        let staging = Settings { acme_staging: Some(true), ..good };
        assert_eq!(acme(&staging).unwrap().unwrap().directory, LETS_ENCRYPT_STAGING);
        let nothing = Settings { acme_domain: Vec::new(), ..staging };
        assert!(error(&nothing).contains("needs --acme-domain"));
    }
}
