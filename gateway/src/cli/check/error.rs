use std::net::SocketAddr;

use ::cli::pem::PemError;
use gateway::{ExternalAccountError, InvalidUrlTemplate, edge::InvalidPolicies, tokens::TokenFileError};

/// What is missing or wrong in the settings of `serve`, with the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(
        "no domain; name the one that agents get their host names under, e.g. --domain tunnel.example.com"
    )]
    NoDomain,
    #[error("`{0}` is not a domain; write it like tunnel.example.com, without scheme, port or wildcard")]
    Domain(String),
    #[error("the domain `{0}` leaves no room for an agent id; a host name has at most 253 characters")]
    LongDomain(String),
    #[error(
        "no token file; name one with --tokens FILE, which \
         `gateway-tunnel token new --agent-id NAME --tokens FILE` makes"
    )]
    NoTokens,
    #[error(transparent)]
    Tokens(#[from] TokenFileError),
    #[error("--public-url is not usable")]
    PublicUrl(#[from] InvalidUrlTemplate),
    #[error("--gateway-id must be 1 to 63 visible ASCII characters")]
    GatewayId,
    #[error("`{0}` is not a host; write --audience like gw.example.com, without scheme or port")]
    Audience(String),
    #[error("`{0}` is not an origin; write --ws-origin like https://console.example.com, without a path")]
    Origin(String),
    #[error("`{0}` is not a network; write --trusted-proxy like 10.0.0.0/8 or 192.0.2.7")]
    TrustedProxy(String),
    #[error("--proxy-protocol needs --trusted-proxy: only there a PROXY header is read")]
    NoTrustedProxy,
    #[error(
        "{certs} times --tls-cert and {keys} times --tls-key; every certificate needs its key, in the same order"
    )]
    Pairs { certs: usize, keys: usize },
    #[error(transparent)]
    TlsFile(#[from] PemError),
    #[error(
        "{0} needs a certificate: name one with --tls-cert FILE and --tls-key FILE, or order one with --acme-domain"
    )]
    NoCertificate(&'static str),
    #[error(
        "this program was built without ACME; build it with the feature `acme`, or leave --acme-domain off"
    )]
    WithoutAcme,
    #[error("{0} needs --acme-domain NAME, which says what to order a certificate for")]
    NoAcmeDomain(&'static str),
    #[error(
        "a certificate for `{0}` cannot be ordered: wildcards need a challenge over DNS (dns-01), which a gateway cannot \
         answer; name every host with its own --acme-domain, or get the wildcard otherwise and give it with --tls-cert"
    )]
    AcmeWildcard(String),
    #[error(
        "`{0}` is not a host name; write --acme-domain like myapp.tunnel.example.com, without scheme or port"
    )]
    AcmeDomain(String),
    #[error(
        "--acme-domain needs --acme-agree-tos, which says that you agree to the terms of service of the authority at {0}"
    )]
    AcmeTerms(String),
    #[error("--acme-domain needs --acme-cache DIR, where certificates are kept, e.g. /var/lib/indranet/acme")]
    NoAcmeCache,
    #[error(
        "`{0}` is no directory of an authority; write --acme-directory like https://ca.example.com/directory"
    )]
    AcmeDirectory(String),
    #[error("`{0}` is no contact; write --acme-contact like mailto:ops@example.com")]
    AcmeContact(String),
    #[error("--acme-staging and --acme-directory name two authorities; leave one of them off")]
    TwoAuthorities,
    #[error(
        "--acme-eab-kid and --acme-eab-key-file belong together, and {missing} is missing; the authority gives both \
         to whoever has an account there"
    )]
    AcmeEabPair { missing: &'static str },
    #[error("--acme-eab-kid must be 1 to 1024 visible ASCII characters, as the authority gave it")]
    AcmeEabKid,
    #[error(transparent)]
    AcmeEabKey(#[from] ExternalAccountError),
    #[error("--client-ca needs TLS on the agents' ports; leave --agents-tls=false off")]
    PlainAgents,
    #[error("--require-client-cert needs --client-ca FILE, which says whose certificates count")]
    NoClientCa,
    #[error("--redirect-to-https needs a certificate (--tls-cert), or a --trusted-proxy that ends TLS")]
    NoHttps,
    #[error(transparent)]
    Policies(#[from] InvalidPolicies),
    #[error("{flag} must be more than zero")]
    Zero { flag: &'static str },
    #[error("{flag} is too long; at most 49 days are possible")]
    TooLong { flag: &'static str },
    #[error("{first} and {second} are both {address}; give one of them another port")]
    SameAddress { first: &'static str, second: &'static str, address: SocketAddr },
}
