use agent::{HealthCheck, Upstream};
use http::uri::PathAndQuery;

use super::{
    host::redacted,
    target::{self, TargetError},
};

/// Why a text is no health check.
#[derive(Debug, thiserror::Error)]
pub(super) enum HealthCheckError {
    #[error(
        "`{0}` cannot be the --health-check; say tcp, a path like /healthz, or a URL with http, h2c or https"
    )]
    Shape(String),
    #[error("the --health-check has no service to ask")]
    Target(#[from] TargetError),
}

/// Reads `tcp`, a path of the service itself, or a URL of any service.
pub(super) fn parse(text: &str, service: &Upstream) -> Result<HealthCheck, HealthCheckError> {
    let shape = || HealthCheckError::Shape(redacted(text));
    if text == "tcp" {
        return Ok(HealthCheck::Tcp(service.clone()));
    }
    let (upstream, path) = match text.split_once("://") {
        None => (service.clone(), text),
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = if path.is_empty() { "/" } else { path };
            (target::parse(&format!("{scheme}://{authority}"), None)?, path)
        }
    };
    let is_path = path.starts_with('/') && !path.contains('#') && path.parse::<PathAndQuery>().is_ok();
    if is_path { Ok(HealthCheck::Http { upstream, path: path.to_owned() }) } else { Err(shape()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        parse(text, &Upstream::http("127.0.0.1", 3000)).ok().map(|check| check.to_string())
    }

    #[test]
    fn connecting_a_path_or_a_url_is_a_check() {
        for (text, check) in [
            ("tcp", "tcp"),
            ("/healthz?full=1", "http://127.0.0.1:3000/healthz?full=1"),
            ("http://localhost:81/up", "http://localhost:81/up"),
            ("https://other", "https://other:443/"),
            ("h2c://other/grpc.health.v1.Health/Check", "h2c://other:80/grpc.health.v1.Health/Check"),
        ] {
            assert_eq!(parsed(text).as_deref(), Some(check));
        }
    }

    #[test]
    fn what_is_printed_means_the_same() {
        for text in ["tcp", "/up", "https://other/up?a=b"] {
            let printed = parsed(text).unwrap();
            assert_eq!(parsed(&printed), Some(printed));
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "healthz", "TCP", "ftp://x/", "http://", "http:///up", "/a b", "/a#b", "http://h?x"]
        {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
