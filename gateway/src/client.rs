use std::net::SocketAddr;

use proto::Fields;

use crate::edge;

/// Who sends requests on a public connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    /// Where it is.
    pub(crate) addr: SocketAddr,
    /// The scheme that it speaks to us: `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Whether it is a proxy whose word counts.
    pub(crate) is_trusted: bool,
}

impl Client {
    /// The same client with the scheme that it was asked with itself, if it may say so.
    pub(crate) fn as_told(self, fields: &Fields) -> Self {
        let told = self.is_trusted.then(|| edge::scheme(fields)).flatten();
        Self { scheme: told.unwrap_or(self.scheme), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(is_trusted: bool, value: &'static str) -> &'static str {
        let mut fields = Fields::new();
        fields.push("x-forwarded-proto", value);
        let client = Client { addr: SocketAddr::from(([192, 0, 2, 1], 80)), scheme: "http", is_trusted };
        client.as_told(&fields).scheme
    }

    #[test]
    fn only_a_trusted_proxy_says_what_the_scheme_is() {
        assert_eq!(told(true, "https"), "https");
        assert_eq!(told(true, "gopher"), "http");
        assert_eq!(told(false, "https"), "http");
    }
}
