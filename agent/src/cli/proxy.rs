use std::{convert::Infallible, fmt, str::FromStr};

use agent::{InvalidProxy, Proxies};
use serde::Deserialize;

/// A text that may hold a password. Redacted in `Debug`, and checked only later, so that no usage message repeats it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct ProxyText(String);

/// What was said of proxies; the environment's if nothing was.
pub(super) fn proxies(given: Option<&ProxyText>) -> Result<Proxies, InvalidProxy> {
    match given {
        None => Ok(Proxies::from_env()),
        Some(ProxyText(none)) if none == "none" => Ok(Proxies::none()),
        Some(ProxyText(proxy)) => Proxies::through(proxy),
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
