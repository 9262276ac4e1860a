use std::{convert::Infallible, fmt, str::FromStr};

use agent::{GatewayUrl, InvalidProxy, Proxies};
use serde::{Deserialize, Serialize};

/// A text that may hold a password. Redacted in `Debug`, and checked only later, so that no usage message repeats it. To be
/// serialized only if it [was made to be shown](ProxyText::shown).
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct ProxyText(String);

/// What was said of proxies; the environment's if nothing was.
pub(super) fn proxies(given: Option<&ProxyText>, gateways: &[GatewayUrl]) -> Result<Proxies, InvalidProxy> {
    match given {
        None => Proxies::from_env(gateways),
        Some(ProxyText(none)) if none == "none" => Ok(Proxies::none()),
        Some(ProxyText(proxy)) => Proxies::through(proxy),
    }
}

impl ProxyText {
    /// The proxy on the way to the first of `gateways`, as it may be shown.
    pub(super) fn shown(proxies: &Proxies, gateways: &[GatewayUrl]) -> Self {
        let proxy = gateways.first().and_then(|gateway| proxies.shown(gateway));
        Self(proxy.unwrap_or_else(|| "none".to_owned()))
    }
}

impl FromStr for ProxyText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ProxyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyText(redacted)")
    }
}
