use std::error::Error as _;

use agent::{HostField, Upstream};
use proto::Secret;

use super::*;

fn checked(toml: &str) -> Result<Checked, ConfigError> {
    let mut settings: Settings = toml_settings(toml);
    settings.token = Some(format!("itk_a_{}", *Secret::from_bytes([7; 32]).reveal()).parse().unwrap());
    Checked::new(settings)
}

fn toml_settings(text: &str) -> Settings {
    serde_json::from_str(text).unwrap()
}

#[test]
fn what_is_not_given_has_the_documented_default() {
    let Checked { config, admin, status, quiet, log_format } = checked(r#"{"target": "3000"}"#).unwrap();
    assert_eq!(config.upstream, Upstream::http("127.0.0.1", 3000));
    assert_eq!((config.host, config.routes.len()), (HostField::Preserve, 0));
    let gateways: Vec<_> = config.gateways.iter().map(ToString::to_string).collect();
    assert_eq!(gateways, ["grpc://127.0.0.1:8081", "ws://127.0.0.1:8080"]);
    assert_eq!(config.agent_id, slug(&config.credential.token, &config.upstream));
    assert_eq!(config.max_retries, None);
    assert_eq!(config.grace_period, Duration::from_secs(30));
    assert_eq!(config.max_concurrent, 0);
    assert_eq!((quiet, log_format), (false, log::Format::Text));
    assert_eq!((config.connections, config.link_age), (2, LinkAge::Learned));
    assert_eq!((config.health_check, config.health_interval), (None, Duration::from_secs(10)));
    assert_eq!((admin, status), (None, true));
}

#[test]
fn what_is_wrong_is_named_with_its_remedy() {
    for (settings, part) in [
        (r#"{}"#, "`agent-tunnel connect 3000`"),
        (r#"{"target": "http://web", "upstream_protocol": "https"}"#, "in the --upstream-protocol https"),
        (r#"{"target": "3000", "host": "a b"}"#, "say preserve, upstream or a name"),
        (r#"{"target": "3000", "upstream_ca": "/nonexistent"}"#, "--upstream-ca is not usable"),
        (
            r#"{"target": "3000", "upstream_ca": "x", "upstream_insecure": true}"#,
            "leave it or --upstream-ca off",
        ),
        (r#"{"target": "3000", "routes": [{"prefix": "api", "target": "1"}]}"#, "write it like /api"),
        (r#"{"target": "3000", "gateway": "gw"}"#, "`gw` is not a gateway"),
        (r#"{"target": "3000", "id": "My App"}"#, "`My App` cannot be the agent's --id"),
        (r#"{"target": "3000", "grace_period": "50days"}"#, "--grace-period is too long"),
        (r#"{"target": "3000", "connections": 0}"#, "say 1 to 16"),
        (r#"{"target": "3000", "connections": 17}"#, "say 1 to 16"),
        (r#"{"target": "3000", "max_link_age": "10ms"}"#, "at least 1s is possible, and 0s is never"),
        (r#"{"target": "3000", "health_check": "up"}"#, "say tcp, a path like /healthz, or a URL"),
        (r#"{"target": "3000", "health_check": "ftp://x"}"#, "has no service to ask"),
        (r#"{"target": "3000", "health_interval": "0s"}"#, "say 100ms to 1day"),
        (r#"{"target": "3000", "health_interval": "2days"}"#, "say 100ms to 1day"),
    ] {
        let error = checked(settings).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = Checked::new(toml_settings(r#"{"target": "3000"}"#)).unwrap_err();
    assert!(error.to_string().contains("INDRANET_TOKEN"), "{error}");
}

#[test]
fn a_malformed_token_is_never_repeated() {
    let mut settings = toml_settings(r#"{"target": "3000"}"#);
    settings.token = Some("itk_a_notasecret".parse().unwrap());
    assert!(!format!("{settings:?}").contains("notasecret"));
    let error = Checked::new(settings).unwrap_err();
    let source = error.source().unwrap();
    assert!(!format!("{error} {source} {error:?}").contains("notasecret"), "{error}");
    assert!(error.to_string().contains("--token is malformed"), "{error}");
}
