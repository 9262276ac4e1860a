use std::{net::SocketAddr, path::PathBuf};

use agent::ChannelBinding;
use clap::builder::BoolishValueParser;
use cli::{Span, discreet, log::Format};
use serde::{Deserialize, Serialize};

use super::{credential::TokenText, proxy::ProxyText, target::Protocol};

/// What `connect` can be told by flags, by variables and by the file. Names are the same in all three.
#[derive(Clone, Debug, Default, clap::Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    /// The local service: a port, host:port, or a URL with http, h2c (HTTP/2 without TLS) or https
    #[arg(env = "INDRANET_TARGET")]
    pub(super) target: Option<String>,
    /// What the service speaks, where its URL leaves that open [default: http1, or what the URL says]
    #[arg(long, env = "INDRANET_UPSTREAM_PROTOCOL", value_name = "PROTOCOL")]
    pub(super) upstream_protocol: Option<Protocol>,
    /// PEM file with certificates to know an https service by, besides those that this machine trusts
    #[arg(long, env = "INDRANET_UPSTREAM_CA", value_name = "FILE")]
    pub(super) upstream_ca: Option<PathBuf>,
    /// Believe any certificate of an https service: whoever stands in between reads and changes everything
    #[arg(
        long,
        env = "INDRANET_UPSTREAM_INSECURE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) upstream_insecure: Option<bool>,
    /// What the service sees as host: preserve (the client's), upstream (its own), or a name [default: preserve]
    #[arg(long, env = "INDRANET_HOST", value_name = "HOST")]
    pub(super) host: Option<String>,
    /// Let clients speak TLS with the service itself, for the host names that the gateway passes through: it needs a certificate
    /// of its own, and the gateway sees nothing
    #[arg(
        long,
        env = "INDRANET_PASSTHROUGH",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) passthrough: Option<bool>,
    /// Another service for the paths below a prefix: /api=4000 or /api=http://127.0.0.1:4000. May be repeated; the longest
    /// prefix decides
    #[arg(long, env = "INDRANET_ROUTE", value_name = "PREFIX=TARGET", value_delimiter = ',')]
    #[serde(skip)]
    pub(super) route: Vec<String>,
    /// Where to dial: grpc://, grpcs://, ws:// or wss:// and HOST or HOST:PORT; http:// and https:// stand for gRPC,
    /// then WebSocket. May be repeated, to be tried in that order [default: http://127.0.0.1]
    #[arg(long, env = "INDRANET_GATEWAY", value_name = "URL", value_delimiter = ',')]
    #[serde(deserialize_with = "cli::one_or_many")]
    pub(super) gateway: Vec<String>,
    /// Proxy on the way to the gateway, http:// or socks5://, or `none`; not for hosts in NO_PROXY [default: the first of
    /// HTTPS_PROXY, ALL_PROXY and HTTP_PROXY that is set]
    #[arg(long, env = "INDRANET_PROXY", value_name = "URL", hide_env_values = true)]
    pub(super) proxy: Option<ProxyText>,
    /// PEM file with certificates to know the gateway by, besides those that this machine trusts
    #[arg(long, env = "INDRANET_CA_FILE", value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// The name that the gateway's certificate must be for [default: the host that is dialled]
    #[arg(long, env = "INDRANET_TLS_SERVER_NAME", value_name = "NAME")]
    pub(super) tls_server_name: Option<String>,
    /// PEM file with a certificate to show to the gateway, with its chain
    #[arg(long, env = "INDRANET_CLIENT_CERT", value_name = "FILE")]
    pub(super) client_cert: Option<PathBuf>,
    /// PEM file with the private key of --client-cert
    #[arg(long, env = "INDRANET_CLIENT_KEY", value_name = "FILE")]
    pub(super) client_key: Option<PathBuf>,
    /// Whether the signature holds for this TLS connection only: auto (if the gateway ends TLS itself), require, none
    /// [default: auto]
    #[arg(long, env = "INDRANET_CHANNEL_BINDING", value_name = "WHEN")]
    pub(super) channel_binding: Option<ChannelBinding>,
    /// Believe any certificate of the gateway: whoever stands in between reads and changes everything
    #[arg(
        long,
        env = "INDRANET_INSECURE_SKIP_VERIFY",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) insecure_skip_verify: Option<bool>,
    /// The name to be reachable under [default: made from token and target]
    #[arg(long, env = "INDRANET_ID")]
    pub(super) id: Option<String>,
    /// Shown by every process list, so for trying things out only; the variable is INDRANET_TOKEN. Not for the file,
    /// which is often readable by others; it can name a `token_file`.
    #[arg(long, hide = true)]
    #[serde(skip)]
    pub(super) token: Option<TokenText>,
    /// File that holds the token, instead of the variable INDRANET_TOKEN
    #[arg(long, env = "INDRANET_TOKEN_FILE", value_name = "FILE", value_parser = discreet::file())]
    #[serde(deserialize_with = "discreet::deserialize_file")]
    pub(super) token_file: Option<PathBuf>,
    /// Give up after this many failed attempts in a row [default: never]
    #[arg(long, env = "INDRANET_MAX_RETRIES", value_name = "N")]
    pub(super) max_retries: Option<u32>,
    /// How long requests may go on after SIGTERM [default: 30s]
    #[arg(long, env = "INDRANET_GRACE_PERIOD", value_name = "TIME")]
    pub(super) grace_period: Option<Span>,
    /// Requests served at a time, 0 for as many as the gateway allows [default: 0]
    #[arg(long, env = "INDRANET_MAX_CONCURRENT", value_name = "N")]
    pub(super) max_concurrent: Option<u32>,
    /// Links to keep to the gateway at a time, 1 to 16 [default: 2]
    #[arg(long, env = "INDRANET_CONNECTIONS", value_name = "N")]
    pub(super) connections: Option<u32>,
    /// Replace each link before it is this old; 0s is never [default: learned, where something cuts links at a fixed age]
    #[arg(long, env = "INDRANET_MAX_LINK_AGE", value_name = "TIME")]
    pub(super) max_link_age: Option<Span>,
    /// Ask the service now and then whether it is well: a path like /healthz, a URL, or `tcp` just to connect. While it is
    /// not, the gateway does not choose this agent [default: never]
    #[arg(long, env = "INDRANET_HEALTH_CHECK", value_name = "CHECK")]
    pub(super) health_check: Option<String>,
    /// How often to ask it [default: 10s]
    #[arg(long, env = "INDRANET_HEALTH_INTERVAL", value_name = "TIME")]
    pub(super) health_interval: Option<Span>,
    /// Health, metrics and status over HTTP, for operators only [default: none]
    #[arg(long, env = "INDRANET_AGENT_ADMIN", value_name = "ADDR")]
    pub(super) admin: Option<SocketAddr>,
    /// Whether `agent-tunnel status` shows this agent [default: true]
    #[arg(
        long,
        env = "INDRANET_STATUS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) status: Option<bool>,
    /// Log only what is wrong, and no live display on a terminal
    #[arg(
        long,
        env = "INDRANET_QUIET",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) quiet: Option<bool>,
    /// How log lines look [default: text]
    #[arg(long, env = "INDRANET_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) log_format: Option<Format>,
    /// What is logged, e.g. debug or info,agent=trace [default: info; warn with a live display or --quiet]
    #[arg(long, env = "INDRANET_LOG", value_name = "FILTER")]
    pub(super) log_level: Option<String>,
    /// What --route says, in the file.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) routes: Vec<RouteSettings>,
}

/// A service for the paths below a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteSettings {
    pub(super) prefix: String,
    pub(super) target: String,
    /// Whether the service sees paths without the prefix.
    #[serde(default)]
    pub(super) strip_prefix: bool,
}

cli::layer!(Settings {
    target,
    upstream_protocol,
    upstream_ca,
    upstream_insecure,
    host,
    passthrough,
    route,
    gateway,
    proxy,
    ca_file,
    tls_server_name,
    client_cert,
    client_key,
    channel_binding,
    insecure_skip_verify,
    id,
    token,
    token_file,
    max_retries,
    grace_period,
    max_concurrent,
    connections,
    max_link_age,
    health_check,
    health_interval,
    admin,
    status,
    quiet,
    log_format,
    log_level,
    routes,
});
