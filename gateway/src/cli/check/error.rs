use std::net::SocketAddr;

use gateway::{InvalidUrlTemplate, TlsFileError, edge::InvalidPolicies, tokens::TokenFileError};

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
    TlsFile(#[from] TlsFileError),
    #[error("{0} needs a certificate: name one with --tls-cert FILE and --tls-key FILE")]
    NoCertificate(&'static str),
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
