use std::net::Ipv6Addr;

use gateway::edge::{MAX_HOST, Network, is_host_name};
use http::uri::Authority;
use proto::AgentId;

use super::ConfigError;

/// Longest name of a gateway in characters, like a DNS label.
const MAX_NAME: usize = 63;

/// Lower case, without dots at either end, each once.
pub(super) fn domains(given: &[String]) -> Result<Vec<String>, ConfigError> {
    let mut domains = Vec::new();
    for text in given {
        let domain = text.trim().trim_matches('.').to_ascii_lowercase();
        if !is_host_name(&domain) {
            return Err(ConfigError::Domain(text.clone()));
        }
        if domain.len() + 1 + AgentId::MAX_LEN > MAX_HOST {
            return Err(ConfigError::LongDomain(text.clone()));
        }
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    if domains.is_empty() { Err(ConfigError::NoDomain) } else { Ok(domains) }
}

/// Lower case, IPv6 addresses without brackets: as agents sign them.
pub(super) fn audiences(given: &[String]) -> Result<Vec<String>, ConfigError> {
    given.iter().map(|text| audience(text).ok_or_else(|| ConfigError::Audience(text.clone()))).collect()
}

fn audience(text: &str) -> Option<String> {
    let host = text.trim().to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    match bare.parse::<Ipv6Addr>() {
        Ok(address) => Some(address.to_string()),
        Err(_) => is_host_name(bare).then(|| bare.to_owned()),
    }
}

/// Lower case, as browsers send them (RFC 6454, section 6.1).
pub(super) fn origins(given: &[String]) -> Result<Vec<String>, ConfigError> {
    given.iter().map(|text| origin(text).ok_or_else(|| ConfigError::Origin(text.clone()))).collect()
}

fn origin(text: &str) -> Option<String> {
    let origin = text.trim().to_ascii_lowercase();
    let (scheme, rest) = origin.split_once("://")?;
    let authority: Authority = rest.parse().ok()?;
    let is_plain = matches!(scheme, "http" | "https") && !authority.as_str().contains('@');
    is_plain.then_some(origin)
}

/// Addresses are networks of one.
pub(super) fn networks(given: &[String]) -> Result<Vec<Network>, ConfigError> {
    given
        .iter()
        .map(|text| text.trim().parse().map_err(|_| ConfigError::TrustedProxy(text.clone())))
        .collect()
}

/// Visible ASCII only, since it stands in logs and on the terminals of agents.
pub(super) fn gateway_id(given: Option<String>) -> Result<String, ConfigError> {
    let is_usable =
        |id: &String| (1..=MAX_NAME).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    match given {
        Some(id) if is_usable(&id) => Ok(id),
        Some(_) => Err(ConfigError::GatewayId),
        None => Ok(host_name().filter(is_usable).unwrap_or_else(|| "gateway".to_owned())),
    }
}

fn host_name() -> Option<String> {
    Some(rustix::system::uname().nodename().to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn domains_are_normal_and_unique() {
        let given = texts(&["Tunnel.Example.com", ".tunnel.example.com.", "localhost"]);
        assert_eq!(domains(&given).unwrap(), ["tunnel.example.com", "localhost"]);
    }

    #[test]
    fn what_is_no_domain_is_refused() {
        for text in
            ["", "a..b", "*.example.com", "http://example.com", "example.com:80", "-a.com", "bücher.de"]
        {
            assert!(matches!(domains(&texts(&[text])), Err(ConfigError::Domain(_))), "{text}");
        }
        let long = ["x".repeat(63), "x".repeat(63), "x".repeat(63)].join(".");
        assert!(matches!(domains(&texts(&[&long])), Err(ConfigError::LongDomain(_))));
        assert!(matches!(domains(&[]), Err(ConfigError::NoDomain)));
    }

    #[test]
    fn audiences_are_as_agents_sign_them() {
        let given = texts(&["GW.example.com", "[::1]", "2001:DB8:0::1", "10.0.0.1"]);
        assert_eq!(audiences(&given).unwrap(), ["gw.example.com", "::1", "2001:db8::1", "10.0.0.1"]);
        for text in ["https://gw", "gw:8081", ""] {
            assert!(audiences(&texts(&[text])).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        let given = texts(&["https://Console.example.com", "http://localhost:3000"]);
        assert_eq!(origins(&given).unwrap(), ["https://console.example.com", "http://localhost:3000"]);
        for text in ["console.example.com", "https://", "https://a/", "https://u@a", "file://a", "null"] {
            assert!(origins(&texts(&[text])).is_err(), "{text}");
        }
    }

    #[test]
    fn the_gateway_has_a_printable_name() {
        assert_eq!(gateway_id(Some("gw-1".into())).unwrap(), "gw-1");
        for text in ["", "two words", "\x1b[31m", &"x".repeat(64)] {
            assert!(gateway_id(Some(text.into())).is_err(), "{text:?}");
        }
        assert!(!gateway_id(None).unwrap().is_empty());
    }
}
