use std::{env, fmt, sync::Arc};

use cli::discreet;
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::GatewayUrl;

/// Which proxy, if any, leads to which gateway. Credentials in it are never shown.
#[derive(Clone)]
pub struct Proxies {
    matcher: Arc<Matcher>,
}

/// A text that names no proxy. The text is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{origin} names no proxy that can be used: one looks like http://host:port or socks5://host:port, with user:password@ \
     before the host if it asks for them"
)]
pub struct InvalidProxy {
    /// The flag or the variable that holds the text.
    pub origin: &'static str,
}

impl Proxies {
    /// What `HTTPS_PROXY`, `ALL_PROXY`, `HTTP_PROXY` and `NO_PROXY` say, as curl reads them, of the way to `gateways`.
    ///
    /// # Errors
    /// [`InvalidProxy`] if a proxy would be on that way, and one of the variables names none that is spoken.
    pub fn from_env(gateways: &[GatewayUrl]) -> Result<Self, InvalidProxy> {
        let somewhere =
            Self { matcher: Arc::new(Matcher::builder().all("http://proxy").no(except()).build()) };
        if gateways.iter().any(|gateway| somewhere.on_the_way_to(gateway).is_some()) {
            let unusable = |name: &&str| {
                let text = env::var(name).ok().filter(|text| !text.is_empty());
                text.is_some_and(|text| !is_understood(&text))
            };
            if let Some(origin) = VARIABLES.into_iter().find(unusable) {
                return Err(InvalidProxy { origin });
            }
        }
        Ok(Self { matcher: Arc::new(Matcher::from_env()) })
    }

    /// No proxy, whatever the environment says.
    pub fn none() -> Self {
        Self { matcher: Arc::new(Matcher::builder().build()) }
    }

    /// This proxy for every gateway but those that `NO_PROXY` names.
    ///
    /// # Errors
    /// [`InvalidProxy`] if the text is no proxy's URL, or of a scheme that is not spoken.
    pub fn through(proxy: &str) -> Result<Self, InvalidProxy> {
        if !is_understood(proxy) {
            return Err(InvalidProxy { origin: "--proxy" });
        }
        Ok(Self { matcher: Arc::new(Matcher::builder().all(proxy).no(except()).build()) })
    }

    /// The proxy on the way to `gateway`, without its user and password.
    pub fn shown(&self, gateway: &GatewayUrl) -> Option<String> {
        let proxy = self.on_the_way_to(gateway)?;
        let (scheme, authority) = (proxy.uri().scheme_str()?, proxy.uri().authority()?);
        let user = if proxy.basic_auth().is_some() || proxy.raw_auth().is_some() { "***@" } else { "" };
        Some(format!("{scheme}://{user}{authority}"))
    }

    /// The proxy on the way to `gateway`. A link is a tunnel whether or not TLS is inside, so the variable for `https`
    /// counts first.
    pub(crate) fn on_the_way_to(&self, gateway: &GatewayUrl) -> Option<Intercept> {
        let at = |scheme| {
            Uri::builder().scheme(scheme).authority(gateway.authority()).path_and_query("/").build().ok()
        };
        ["https", "http"].into_iter().find_map(|scheme| self.matcher.intercept(&at(scheme)?))
    }
}

/// Who names a proxy; the first one that is set counts.
const VARIABLES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"];

/// Whom no proxy leads to.
fn except() -> String {
    env::var("NO_PROXY").or_else(|_| env::var("no_proxy")).unwrap_or_default()
}

fn is_understood(proxy: &str) -> bool {
    let probe = Uri::from_static("https://gateway.invalid");
    Matcher::builder().all(proxy).build().intercept(&probe).is_some_and(|found| speaks(&found))
}

fn speaks(proxy: &Intercept) -> bool {
    // A token would pass for the name of a host, and be looked up.
    let is_host = proxy.uri().host().is_some_and(|host| !discreet::is_token(host));
    is_host && matches!(proxy.uri().scheme_str(), Some("http" | "socks5" | "socks5h"))
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.matcher.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transport;

    fn gateway(host: &str) -> GatewayUrl {
        GatewayUrl { transport: Transport::Grpc, tls: false, host: host.to_owned(), port: 8081 }
    }

    #[test]
    fn a_proxy_is_understood_with_its_credentials_and_shows_none() {
        let proxies = Proxies::through("http://user:p%40ss@proxy.example:3128").unwrap();
        let found = proxies.on_the_way_to(&gateway("gw.example.com")).unwrap();
        assert_eq!(found.uri().authority().unwrap().as_str(), "proxy.example:3128");
        assert_eq!(found.basic_auth().unwrap(), "Basic dXNlcjpwQHNz");
        assert!(!format!("{proxies:?}").contains("p%40ss"));
        let shown = proxies.shown(&gateway("gw.example.com"));
        assert_eq!(shown.as_deref(), Some("http://***@proxy.example:3128"));
        let socks = Proxies::through("socks5://user:pass@[::1]:1080").unwrap();
        assert_eq!(socks.on_the_way_to(&gateway("::1")).unwrap().raw_auth(), Some(("user", "pass")));
    }

    #[test]
    fn anything_else_is_no_proxy() {
        for text in ["", "ftp://proxy:21", "https://proxy:443", "socks4://proxy:1080", "http://", "not a url"]
        {
            assert_eq!(Proxies::through(text).map(drop), Err(InvalidProxy { origin: "--proxy" }), "{text}");
        }
        assert!(Proxies::none().on_the_way_to(&gateway("gw.example.com")).is_none());
    }
}
