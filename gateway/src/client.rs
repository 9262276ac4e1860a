use std::{net::SocketAddr, sync::Arc};

use proto::Fields;

use crate::edge;

/// Who sends requests on a public connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Where it is.
    pub(crate) addr: SocketAddr,
    /// The scheme that it speaks to us: `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Whether it is a proxy whose word counts.
    pub(crate) is_trusted: bool,
    /// The host that it asked for when it set TLS up, in lower case. Not of a proxy, which asks for others' hosts.
    pub(crate) server_name: Option<Arc<str>>,
}

impl Client {
    /// The same client with the scheme that it was asked with itself, if it may say so.
    pub(crate) fn as_told(&self, fields: &Fields) -> Self {
        let told = self.is_trusted.then(|| edge::scheme(fields)).flatten();
        Self { scheme: told.unwrap_or(self.scheme), ..self.clone() }
    }

    /// The same client behind TLS, which it set up with the host `server_name`.
    pub(crate) fn secure(self, server_name: Option<&str>) -> Self {
        let server_name = server_name.filter(|_| !self.is_trusted);
        Self {
            scheme: "https",
            server_name: server_name.map(|name| name.to_ascii_lowercase().into()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(is_trusted: bool, value: &'static str) -> &'static str {
        let mut fields = Fields::new();
        fields.push("x-forwarded-proto", value);
        let addr = SocketAddr::from(([192, 0, 2, 1], 80));
        let client = Client { addr, scheme: "http", is_trusted, server_name: None };
        client.as_told(&fields).scheme
    }

    #[test]
    fn only_a_trusted_proxy_says_what_the_scheme_is() {
        assert_eq!(told(true, "https"), "https");
        assert_eq!(told(true, "gopher"), "http");
        assert_eq!(told(false, "https"), "http");
    }
}
