//! What a request says of where it comes from, and whose word counts. A proxy that is trusted is believed; the claims of
//! everybody else are taken away.

use std::net::{IpAddr, SocketAddr};

use proto::Fields;

use super::network::Network;

/// The proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whom a request comes from in the end: the nearest address that is not a trusted proxy's. Each proxy vouches for the one
    /// before it only, so what stands further away in `x-forwarded-for` may be anybody's invention.
    pub(crate) fn visitor(&self, peer: IpAddr, fields: &Fields) -> IpAddr {
        let mut visitor = peer;
        let claims: Vec<&[u8]> = fields.list("x-forwarded-for").collect();
        for claim in claims.into_iter().rev() {
            if !self.contains(visitor) {
                break;
            }
            let Some(address) = address(claim) else { break };
            visitor = address;
        }
        visitor.to_canonical()
    }
}

/// The scheme that the nearest proxy says it was asked with.
pub(crate) fn scheme(fields: &Fields) -> Option<&'static str> {
    let last = fields.list("x-forwarded-proto").last()?;
    match last.to_ascii_lowercase().as_slice() {
        b"https" | b"wss" => Some("https"),
        b"http" | b"ws" => Some("http"),
        _ => None,
    }
}

/// Whether a field says whom a request comes from and how it was asked.
pub(crate) fn is_claim(name: &[u8]) -> bool {
    matches!(name, b"forwarded" | b"x-real-ip") || name.starts_with(b"x-forwarded-")
}

/// An address, with or without a port: proxies write both.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> TrustedProxies {
        TrustedProxies::new(["10.0.0.0/8", "2001:db8::/32"].map(|text| text.parse().unwrap()).into())
    }

    fn fields(values: &[&'static str]) -> Fields {
        let mut fields = Fields::new();
        values.iter().for_each(|value| fields.push("x-forwarded-for", *value));
        fields
    }

    fn visitor(peer: &str, values: &[&'static str]) -> String {
        trusted().visitor(peer.parse().unwrap(), &fields(values)).to_string()
    }

    #[test]
    fn a_stranger_is_who_it_is() {
        assert_eq!(visitor("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        assert_eq!(visitor("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(visitor("::ffff:192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_says_who_asked_it() {
        assert_eq!(visitor("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(visitor("2001:db8::1", &["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(visitor("10.0.0.1", &["2001:db9::7"]), "2001:db9::7");
        assert_eq!(visitor("10.0.0.1", &["[2001:db9::7]"]), "2001:db9::7");
        assert_eq!(visitor("10.0.0.1", &["[2001:db9::7]:80"]), "2001:db9::7");
        assert_eq!(visitor("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_lies_before_the_first_stranger_is_not_believed() {
        assert_eq!(visitor("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(visitor("10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.2"]), "203.0.113.9");
        assert_eq!(visitor("10.0.0.1", &["10.1.1.1, 203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn behind_a_gap_nobody_is_believed() {
        assert_eq!(visitor("10.0.0.1", &["203.0.113.9, unknown"]), "10.0.0.1");
        assert_eq!(visitor("10.0.0.1", &["203.0.113.9, _hidden, 10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn the_scheme_is_the_nearest_proxys() {
        for (values, expected) in [
            (&["https"] as &[&'static str], Some("https")),
            (&["HTTPS"], Some("https")),
            (&["wss"], Some("https")),
            (&["http"], Some("http")),
            (&["https, http"], Some("http")),
            (&["http", "https"], Some("https")),
            (&["gopher"], None),
            (&[""], None),
            (&[], None),
        ] {
            let mut fields = Fields::new();
            values.iter().for_each(|value| fields.push("x-forwarded-proto", *value));
            assert_eq!(scheme(&fields), expected, "{values:?}");
        }
    }

    #[test]
    fn claims_are_known_by_name() {
        for name in
            ["forwarded", "x-real-ip", "x-forwarded-for", "x-forwarded-user", "x-forwarded-client-cert"]
        {
            assert!(is_claim(name.as_bytes()), "{name}");
        }
        assert!(!is_claim(b"x-forwarded") && !is_claim(b"x-request-id") && !is_claim(b"forwarded-by"));
    }
}
