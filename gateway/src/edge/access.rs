use std::net::IpAddr;

use super::network::Network;

/// From where an agent may be asked. Who is denied stays denied, whatever is allowed.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    /// Empty: everybody who is not denied.
    pub(super) allow: Vec<Network>,
    pub(super) deny: Vec<Network>,
}

impl Access {
    /// Whether everybody may.
    pub(super) fn is_open(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    pub(super) fn permits(&self, address: IpAddr) -> bool {
        let listed = |networks: &[Network]| networks.iter().any(|network| network.contains(address));
        !listed(&self.deny) && (self.allow.is_empty() || listed(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(allow: &[&str], deny: &[&str], address: &str) -> bool {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Access { allow: networks(allow), deny: networks(deny) }.permits(address.parse().unwrap())
    }

    #[test]
    fn without_lists_everybody_may() {
        assert!(permits(&[], &[], "192.0.2.1"));
    }

    #[test]
    fn a_list_of_the_allowed_shuts_out_the_rest() {
        assert!(permits(&["192.0.2.0/24", "::1"], &[], "192.0.2.1"));
        assert!(permits(&["192.0.2.0/24", "::1"], &[], "::ffff:192.0.2.1"));
        assert!(!permits(&["192.0.2.0/24", "::1"], &[], "198.51.100.1"));
    }

    #[test]
    fn the_denied_are_denied_even_if_allowed() {
        assert!(!permits(&[], &["192.0.2.0/24"], "192.0.2.1"));
        assert!(permits(&[], &["192.0.2.0/24"], "198.51.100.1"));
        assert!(!permits(&["0.0.0.0/0"], &["192.0.2.1"], "192.0.2.1"));
    }
}
