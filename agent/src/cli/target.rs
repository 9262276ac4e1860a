use std::fmt;

use agent::{Http2, Upstream};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::host::{host_and_port, port, redacted};

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// What a service speaks, where its URL leaves that open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    /// HTTP/1.1
    Http1,
    /// HTTP/2 without TLS
    H2c,
    /// HTTP/1.1 over TLS, HTTP/2 for gRPC
    Https,
    /// HTTP/1.1, and HTTP/2 for gRPC; over TLS HTTP/2 if the service offers it
    Auto,
}

/// What stands before `://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    None,
    Http,
    H2c,
    Https,
}

/// Why a text is not a service that the agent can serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    #[error("`{0}` is not a local service; say a port, host:port or http://host:port")]
    Shape(String),
    #[error("`{0}` has a path, but a service is always made reachable as a whole; leave the path off")]
    Path(String),
    #[error("`{target}` cannot be asked in the --upstream-protocol {protocol}")]
    Protocol { target: String, protocol: Protocol },
}

/// Reads a port, `host:port`, or a URL with `http`, `h2c` or `https`. `protocol` decides what the URL does not.
pub(super) fn parse(text: &str, protocol: Option<Protocol>) -> Result<Upstream, TargetError> {
    let shape = || TargetError::Shape(redacted(text));
    let (scheme, authority) = split(text).ok_or_else(shape)?;
    let (tls, http2) = speak(scheme, protocol).map_err(|protocol| {
        let target = redacted(text);
        TargetError::Protocol { target, protocol }
    })?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains(['/', '?', '#']) {
        return Err(TargetError::Path(redacted(text)));
    }
    let (host, port) = match port(authority).filter(|_| scheme == Scheme::None) {
        Some(port) => ("127.0.0.1".to_owned(), port),
        None => {
            let (host, port) = host_and_port(authority).ok_or_else(shape)?;
            (host, port.or(scheme.port()).ok_or_else(shape)?)
        }
    };
    Ok(Upstream { host, port, tls, http2 })
}

fn split(text: &str) -> Option<(Scheme, &str)> {
    let Some((scheme, rest)) = text.split_once("://") else { return Some((Scheme::None, text)) };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "h2c" => Scheme::H2c,
        "https" => Scheme::Https,
        _ => return None,
    };
    Some((scheme, rest))
}

/// Whether TLS is spoken, and which requests go in HTTP/2. A protocol that contradicts the scheme comes back.
fn speak(scheme: Scheme, protocol: Option<Protocol>) -> Result<(bool, Http2), Protocol> {
    use Protocol::{Auto, H2c, Http1, Https};
    Ok(match (scheme, protocol) {
        (Scheme::None | Scheme::Http, None | Some(Http1)) => (false, Http2::Never),
        (Scheme::None | Scheme::Http, Some(Auto)) => (false, Http2::ForGrpc),
        (Scheme::None | Scheme::Http, Some(H2c)) | (Scheme::H2c, None | Some(H2c | Auto)) => {
            (false, Http2::Always)
        }
        (Scheme::None, Some(Https)) | (Scheme::Https, None | Some(Https)) => (true, Http2::ForGrpc),
        (Scheme::Https, Some(Auto)) => (true, Http2::IfOffered),
        (Scheme::Https, Some(Http1)) => (true, Http2::Never),
        (Scheme::Http | Scheme::H2c | Scheme::Https, Some(other)) => return Err(other),
    })
}

impl Scheme {
    fn port(self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::Http | Self::H2c => Some(HTTP_PORT),
            Self::Https => Some(HTTPS_PORT),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
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
            assert_eq!(parse(text, None), Ok(Upstream::http(host, port)), "{text}");
        }
        for (text, port, tls) in
            [("h2c://web", 80, false), ("https://web", 443, true), ("https://web:8443", 8443, true)]
        {
            let upstream = parse(text, None).unwrap();
            assert_eq!((upstream.host.as_str(), upstream.port, upstream.tls), ("web", port, tls), "{text}");
        }
    }

    #[test]
    fn url_and_protocol_say_together_what_is_spoken() {
        use Http2::{Always, ForGrpc, IfOffered, Never};
        use Protocol::*;
        for (text, protocol, tls, http2) in [
            ("3000", None, false, Never),
            ("3000", Some(Http1), false, Never),
            ("3000", Some(Auto), false, ForGrpc),
            ("3000", Some(H2c), false, Always),
            ("3000", Some(Https), true, ForGrpc),
            ("http://web", Some(H2c), false, Always),
            ("http://web", Some(Auto), false, ForGrpc),
            ("h2c://web", None, false, Always),
            ("h2c://web", Some(Auto), false, Always),
            ("https://web", None, true, ForGrpc),
            ("https://web", Some(Https), true, ForGrpc),
            ("https://web", Some(Auto), true, IfOffered),
            ("https://web", Some(Http1), true, Never),
        ] {
            let upstream = parse(text, protocol).unwrap();
            assert_eq!((upstream.tls, upstream.http2), (tls, http2), "{text} {protocol:?}");
            let again = parse(&upstream.to_string(), protocol).unwrap();
            assert_eq!(again, upstream, "what is printed means the same");
        }
        for (text, protocol) in
            [("http://web", Https), ("h2c://web", Http1), ("h2c://web", Https), ("https://web", H2c)]
        {
            let error = TargetError::Protocol { target: text.to_owned(), protocol };
            assert_eq!(parse(text, Some(protocol)), Err(error));
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
            ("http://3000:", Shape),
            ("http://web/app", Path),
            ("http://web?x", Path),
            ("web:80/app", Path),
        ] {
            assert_eq!(parse(text, None), Err(kind(text.to_owned())), "{text}");
        }
        let shown = |host: &str| format!("http://***@{host}");
        assert_eq!(parse("http://user:pass@web", None), Err(Shape(shown("web"))));
        assert_eq!(parse("http://user:pass@web/a", None), Err(Path(shown("web/a"))));
        let error = Protocol { target: shown("web"), protocol: super::Protocol::Https };
        assert_eq!(parse("http://user:pass@web", Some(super::Protocol::Https)), Err(error));
    }
}
