use agent::{
    GatewayUrl,
    Transport::{self, Grpc, WebSocket},
};

use super::host::{host_and_port, redacted};

/// Where to dial when nobody says otherwise.
pub(super) const DEFAULT: &str = "http://127.0.0.1";

/// A text that is not where a gateway can be dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GatewayUrlError {
    #[error(
        "`{0}` is not a gateway; write grpc://, grpcs://, ws://, wss://, http:// or https:// and HOST or HOST:PORT"
    )]
    Shape(String),
    #[error("the gateway `{0}` has a path; leave it off, only host and port count")]
    Path(String),
}

/// Every address that `texts` stand for, in the order in which to try them.
pub(super) fn expand(texts: &[String]) -> Result<Vec<GatewayUrl>, GatewayUrlError> {
    let mut urls = Vec::new();
    for text in texts {
        for url in parse(text.trim())? {
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
    }
    Ok(urls)
}

fn parse(text: &str) -> Result<Vec<GatewayUrl>, GatewayUrlError> {
    let shape = || GatewayUrlError::Shape(redacted(text));
    let (scheme, rest) = text.split_once("://").ok_or_else(shape)?;
    let (transports, tls) = meaning(scheme).ok_or_else(shape)?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(GatewayUrlError::Path(redacted(text)));
    }
    let (host, port) = host_and_port(authority).ok_or_else(shape)?;
    let url = |transport: &Transport| GatewayUrl {
        transport: *transport,
        tls,
        host: host.clone(),
        port: port.unwrap_or_else(|| default_port(*transport)),
    };
    Ok(transports.iter().map(url).collect())
}

/// The transports to try, and whether TLS is spoken.
fn meaning(scheme: &str) -> Option<(&'static [Transport], bool)> {
    Some(match scheme.to_ascii_lowercase().as_str() {
        "grpc" => (&[Grpc], false),
        "grpcs" => (&[Grpc], true),
        "ws" => (&[WebSocket], false),
        "wss" => (&[WebSocket], true),
        "http" => (&[Grpc, WebSocket], false),
        "https" => (&[Grpc, WebSocket], true),
        _ => return None,
    })
}

fn default_port(transport: Transport) -> u16 {
    match transport {
        Grpc => 8081,
        WebSocket => 8080,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(texts: &[&str]) -> Result<Vec<String>, GatewayUrlError> {
        let texts: Vec<_> = texts.iter().map(ToString::to_string).collect();
        Ok(expand(&texts)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_scheme_has_its_transports_and_ports() {
        for (text, urls) in [
            ("grpc://gw", &["grpc://gw:8081"][..]),
            ("grpcs://GW.Example.com", &["grpcs://gw.example.com:8081"]),
            ("ws://gw", &["ws://gw:8080"]),
            ("wss://gw:443/", &["wss://gw:443"]),
            ("http://127.0.0.1", &["grpc://127.0.0.1:8081", "ws://127.0.0.1:8080"]),
            ("https://gw", &["grpcs://gw:8081", "wss://gw:8080"]),
            ("HTTP://gw:9000", &["grpc://gw:9000", "ws://gw:9000"]),
            ("grpc://[::1]:1", &["grpc://[::1]:1"]),
        ] {
            assert_eq!(expanded(&[text]).unwrap(), urls, "{text}");
        }
    }

    #[test]
    fn the_order_given_is_the_order_tried_and_nothing_is_tried_twice() {
        let urls = expanded(&["ws://b", "http://a", "grpc://a:8081"]).unwrap();
        assert_eq!(urls, ["ws://b:8080", "grpc://a:8081", "ws://a:8080"]);
    }

    #[test]
    fn hosts_lose_their_brackets() {
        assert_eq!(expand(&["grpc://[::1]".to_owned()]).unwrap()[0].host, "::1");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "gw", "gw:8081", "tcp://gw", "grpc://", "grpc://gw:0", "grpc://***@gw"] {
            assert_eq!(expanded(&[text]), Err(GatewayUrlError::Shape(text.to_owned())), "{text}");
        }
        assert_eq!(expanded(&["grpc://u:p@gw"]), Err(GatewayUrlError::Shape("grpc://***@gw".to_owned())));
        assert_eq!(expanded(&["grpc://u:p@gw/a"]), Err(GatewayUrlError::Path("grpc://***@gw/a".to_owned())));
        assert!(matches!(expanded(&["ws://gw/tunnel"]), Err(GatewayUrlError::Path(_))));
    }
}
