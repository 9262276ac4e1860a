use agent::Upstream;

use super::host::{host_and_port, port};

/// The port of `http://host`.
const HTTP_PORT: u16 = 80;

/// Why a text is not a service that the agent can serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    #[error("`{0}` is not a local service; say a port, host:port or http://host:port")]
    Shape(String),
    #[error("`{0}`: services behind https are not supported yet; name a port that speaks plain HTTP")]
    Https(String),
    #[error("`{0}` has a path, but a service is always made reachable as a whole; leave the path off")]
    Path(String),
}

/// Reads a port, `host:port` or `http://host[:port]`.
pub(super) fn parse(text: &str) -> Result<Upstream, TargetError> {
    let shape = || TargetError::Shape(text.to_owned());
    if let Some(port) = port(text) {
        return Ok(Upstream { host: "127.0.0.1".to_owned(), port });
    }
    let (authority, default) = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (rest, Some(HTTP_PORT)),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
            return Err(TargetError::Https(text.to_owned()));
        }
        Some(_) => return Err(shape()),
        None => (text, None),
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains(['/', '?', '#']) {
        return Err(TargetError::Path(text.to_owned()));
    }
    let (host, port) = host_and_port(authority).ok_or_else(shape)?;
    Ok(Upstream { host, port: port.or(default).ok_or_else(shape)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_addresses_and_urls_are_services() {
        for (text, host, port) in [
            ("3000", "127.0.0.1", 3000),
            ("localhost:80", "localhost", 80),
            ("[::1]:3000", "::1", 3000),
            ("http://web", "web", 80),
            ("HTTP://Web:8000/", "web", 8000),
        ] {
            assert_eq!(parse(text), Ok(Upstream { host: host.to_owned(), port }), "{text}");
        }
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        use TargetError::*;
        for (text, kind) in [
            ("", Shape as fn(String) -> TargetError),
            ("0", Shape),
            ("99999", Shape),
            ("localhost", Shape),
            ("ftp://web", Shape),
            ("http://user:pass@web", Shape),
            ("https://web", Https),
            ("http://web/app", Path),
            ("http://web?x", Path),
            ("web:80/app", Path),
        ] {
            assert_eq!(parse(text), Err(kind(text.to_owned())), "{text}");
        }
    }
}
