//! Certificates from an authority that gives them to whoever it finds behind a name (ACME, RFC 8555).
//!
//! - [`AcmeConfig`]: for which names, and from whom.
//! - `Challenges`: what the ports answer while the authority looks.
//! - `Cache`: files, which the ports follow like those of any other certificate. So a certificate is swapped without a word to
//!   anybody, and gateways that share a cache share what is in it.
//! - `keep`: orders what is missing, and renews it when the authority suggests that (RFC 9773), or has lived for two thirds
//!   of its time.
//! - `Attentive`: hears when an authority wants to be asked again, and what it refuses.
//!
//! Invariants: an authority is never asked for a certificate again at once, whatever happens, and never while one is fresh.
//! Whatever an authority sends, the gateway goes on.

#[cfg(feature = "acme")]
mod account;
#[cfg(feature = "acme")]
mod attentive;
#[cfg(feature = "acme")]
mod begin;
mod cache;
mod challenges;
mod external;
#[cfg(feature = "acme")]
mod keep;
#[cfg(feature = "acme")]
mod order;
#[cfg(feature = "acme")]
mod poll;
#[cfg(feature = "acme")]
mod refusal;
#[cfg(feature = "acme")]
mod retry_after;
#[cfg(feature = "acme")]
mod schedule;
#[cfg(feature = "acme")]
mod shared;
#[cfg(feature = "acme")]
mod suggestion;
#[cfg(feature = "acme")]
mod transport;

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

pub(crate) use cache::Cache;
pub use cache::CacheError;
pub(crate) use challenges::Challenges;
pub use external::{ExternalAccount, ExternalAccountError};
#[cfg(feature = "acme")]
pub(crate) use keep::keep;

/// Whether this program was built to order certificates.
pub const ACME: bool = cfg!(feature = "acme");

/// The directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The same for trials: with generous limits, and certificates that nobody trusts.
pub const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// What is spoken with an authority that looks over TLS (RFC 8737, section 6.2).
pub(crate) const ALPN: &[u8] = b"acme-tls/1";

/// From whom certificates come, and for which names. Its terms of service are agreed to.
#[derive(Clone, Debug)]
pub struct AcmeConfig {
    /// The authority's directory, a URL of https.
    pub directory: String,
    /// Host names in lower case; each gets a certificate of its own.
    pub domains: Vec<String>,
    /// Where the authority writes to if something is wrong, e.g. `mailto:ops@example.com`.
    pub contacts: Vec<String>,
    /// The directory for the account and the certificates.
    pub cache: PathBuf,
    /// Certificates to know the authority's server by, besides those that the platform trusts.
    pub ca_file: Option<PathBuf>,
    /// To which account elsewhere the one there is bound, if the authority asks for that.
    pub external_account: Option<ExternalAccount>,
    /// How the authority shall look; `None` tries every way.
    pub challenge: Option<Challenge>,
    /// When to ask again.
    pub retry: Retry,
}

/// How an authority sees whether a name leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize, Serialize)]
pub enum Challenge {
    /// By a request to port 80, which must reach the port for HTTP.
    #[value(name = "http-01")]
    #[serde(rename = "http-01")]
    Http01,
    /// By a handshake with port 443, which must reach the port for HTTPS.
    #[value(name = "tls-alpn-01")]
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// The pauses between two attempts for one name, where the authority asks for none: a least one, and behind it a random part of one that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Never less than this.
    pub least: Duration,
    /// The bound of the random part behind the first failure.
    pub first: Duration,
    /// The highest bound of the random part.
    pub longest: Duration,
}

impl Default for Retry {
    /// Stays below what Let's Encrypt allows, which is five failures an hour for a name.
    fn default() -> Self {
        Self {
            least: Duration::from_secs(2 * 60),
            first: Duration::from_secs(10 * 60),
            longest: Duration::from_secs(6 * 60 * 60),
        }
    }
}

impl AcmeConfig {
    pub(crate) fn cache(&self) -> Cache {
        Cache::new(&self.cache, &self.directory)
    }

    /// The files in which its certificates are, or will be.
    pub(crate) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let cache = self.cache();
        self.domains.iter().map(move |domain| cache.certificate(domain))
    }
}
