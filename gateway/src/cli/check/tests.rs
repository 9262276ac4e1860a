use super::*;

fn settings(toml: &str) -> Settings {
    toml::from_str(toml).unwrap()
}

/// The null device is an empty token file.
fn checked(extra: &str) -> Result<Checked, ConfigError> {
    Checked::new(settings(&format!("domain = 'example.com'\ntokens = '/dev/null'\n{extra}")))
}

#[test]
fn what_is_not_given_has_the_documented_default() {
    let Checked { config, threads, log_format, log_level, .. } = checked("").unwrap();
    assert_eq!(config.http.to_string(), "0.0.0.0:8082");
    assert_eq!(config.grpc.to_string(), "0.0.0.0:8081");
    assert_eq!(config.ws.to_string(), "0.0.0.0:8080");
    assert_eq!(config.admin.to_string(), "127.0.0.1:8083");
    assert_eq!(config.domains, ["example.com"]);
    assert_eq!(config.limits.response_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.terms.idle_timeout, Duration::from_secs(60));
    assert_eq!(config.limits.terms.heartbeat_interval, Duration::from_secs(20));
    assert_eq!(config.limits.terms.heartbeat_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.terms.grace_period, Duration::from_secs(30));
    assert_eq!(config.limits.header_timeout, Duration::from_secs(10));
    assert_eq!(config.limits.terms.max_concurrent, 1024);
    assert!(config.edge.trusted_proxies.is_empty() && !config.edge.proxy_protocol);
    assert_eq!((config.edge.max_body, config.edge.pages), (None, gateway::Pages::Pretty));
    assert!(config.public_url.is_none() && config.audiences.is_empty() && threads == Reactors::usual());
    assert_eq!((log_format, log_level.as_str()), (log::Format::Text, "info"));
}

#[test]
fn the_effective_settings_give_the_same_again() {
    let first =
        checked("public_url = 'https://{agent}.example.com'\nidle_timeout = '0s'").unwrap().into_settings();
    let again = Checked::new(first.clone()).unwrap().into_settings();
    assert_eq!(::cli::output::settings(&again).unwrap(), ::cli::output::settings(&first).unwrap());
}

#[test]
fn what_is_missing_is_named_with_its_remedy() {
    let error = Checked::new(settings("")).unwrap_err().to_string();
    assert!(error.contains("--domain tunnel.example.com"), "{error}");
    let error = Checked::new(settings("domain = 'example.com'")).unwrap_err().to_string();
    assert!(error.contains("--tokens FILE"), "{error}");
}

#[test]
fn amounts_that_cannot_work_are_refused() {
    for (extra, part) in [
        ("response_timeout = '0s'", "--response-timeout must be more than zero"),
        ("heartbeat_interval = '100us'", "--heartbeat-interval must be more than zero"),
        ("grace_period = '50days'", "--grace-period is too long"),
        ("max_concurrent = 0", "--max-concurrent must be more than zero"),
        ("threads = 0", "--threads must be more than zero"),
        ("public_url = 'https://example.com'", "--public-url"),
        ("trusted_proxy = '10.0.0.0/33'", "`10.0.0.0/33` is not a network"),
        ("proxy_protocol = true", "--proxy-protocol needs --trusted-proxy"),
        ("[[agent]]\nid = 'a'\n[[agent]]\nid = 'a'", "two [[agent]] tables"),
        ("[[agent]]\nid = 'a'\nhosts = ['*.example.com']", "*.example.com"),
        ("https = '0.0.0.0:443'", "--https needs a certificate"),
        ("client_ca = 'ca.pem'", "--client-ca needs a certificate"),
        ("redirect_to_https = true", "--redirect-to-https needs a certificate"),
        (
            "[[certificate]]\ncert = '/nowhere.pem'\nkey = '/nowhere.key'",
            "cannot read certificates from /nowhere.pem",
        ),
        ("[[certificate]]\ncert = '/dev/null'\nkey = '/dev/null'", "there is no certificate in /dev/null"),
        ("grpc = '0.0.0.0:8082'", "--http and --grpc are both 0.0.0.0:8082"),
    ] {
        let error = checked(extra).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn port_zero_may_be_given_to_every_listener() {
    checked("http = '127.0.0.1:0'\ngrpc = '127.0.0.1:0'\nws = '127.0.0.1:0'\nadmin = '127.0.0.1:0'").unwrap();
}

#[test]
fn what_is_asked_of_clients_is_read_and_printed() {
    let settings = checked(
        "trusted_proxy = ['10.1.2.3/8', '::1']\nproxy_protocol = true\nmax_body = '10MiB'\nerror_pages = 'plain'\n\
        [agent_defaults]\noffline_status = 503\n[[agent]]\nid = 'myapp'\nhosts = ['Shop.example.org']",
    );
    let printed = ::cli::output::settings(&settings.unwrap().into_settings()).unwrap();
    for part in [
        "trusted_proxy = [\"10.0.0.0/8\", \"::1/128\"]",
        "proxy_protocol = true",
        "max_body = \"10MiB\"",
        "error_pages = \"plain\"",
        "[agent_defaults]\noffline_status = 503",
        "[[agent]]\nid = \"myapp\"\nhosts = [\"shop.example.org\"]",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    let again = Checked::new(toml::from_str(&printed).unwrap()).unwrap().into_settings();
    assert_eq!(::cli::output::settings(&again).unwrap(), printed);
}

#[test]
fn a_certificate_opens_a_port_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (cert, key, other) = (path("cert.pem"), path("key.pem"), path("other.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&other, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    let pair = |key: &str| format!("[[certificate]]\ncert = '{cert}'\nkey = '{key}'");

    let error = checked(&pair(&other)).unwrap_err().to_string();
    assert!(error.contains("are no pair"), "{error}");
    let error = checked(&format!("require_client_cert = true\n{}", pair(&key))).unwrap_err().to_string();
    assert!(error.contains("--require-client-cert needs --client-ca"), "{error}");
    let error = checked(&format!("agents_tls = false\nclient_ca = '{cert}'\n{}", pair(&key))).unwrap_err();
    assert!(matches!(error, ConfigError::PlainAgents));

    let first = checked(&pair(&key)).unwrap();
    let tls = first.config.tls.as_ref().unwrap();
    assert_eq!((tls.https.to_string().as_str(), tls.agents), ("0.0.0.0:8443", true));
    let first = first.into_settings();
    let again = Checked::new(first.clone()).unwrap().into_settings();
    assert_eq!(::cli::output::settings(&again).unwrap(), ::cli::output::settings(&first).unwrap());

    let unpaired = Settings { tls_cert: vec![cert.into()], ..first };
    assert!(matches!(Checked::new(unpaired), Err(ConfigError::Pairs { certs: 1, keys: 0 })));
}
