use std::{net::SocketAddr, path::PathBuf};

use clap::builder::BoolishValueParser;
use cli::{Span, discreet, log::Format};
use gateway::{
    Challenge, Instances, Pages,
    edge::{AgentSettings, DefaultSettings, Size},
};
use serde::{Deserialize, Serialize};

/// What `serve` can be told by flags, by variables and by the file. Names are the same in all three.
#[derive(Clone, Debug, Default, clap::Args, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where the outside asks for services over HTTP [default: 0.0.0.0:8082]
    #[arg(long, env = "INDRANET_HTTP", value_name = "ADDR")]
    pub(super) http: Option<SocketAddr>,
    /// Where the outside asks for services over HTTPS, once there is a certificate [default: 0.0.0.0:8443]
    #[arg(long, env = "INDRANET_HTTPS", value_name = "ADDR")]
    pub(super) https: Option<SocketAddr>,
    /// Where agents connect over gRPC [default: 0.0.0.0:8081]
    #[arg(long, env = "INDRANET_GRPC", value_name = "ADDR")]
    pub(super) grpc: Option<SocketAddr>,
    /// Where agents connect over WebSocket [default: 0.0.0.0:8080]
    #[arg(long, env = "INDRANET_WS", value_name = "ADDR")]
    pub(super) ws: Option<SocketAddr>,
    /// Health and metrics, for operators only [default: 127.0.0.1:8083]
    #[arg(long, env = "INDRANET_ADMIN", value_name = "ADDR")]
    pub(super) admin: Option<SocketAddr>,
    /// Share the ports with a newer process, which takes over without losing a connection
    #[arg(
        long,
        env = "INDRANET_REUSE_PORT",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) reuse_port: Option<bool>,
    /// Domain under which every agent has its host name; may be repeated
    #[arg(long, env = "INDRANET_DOMAIN", value_name = "NAME", value_delimiter = ',')]
    #[serde(deserialize_with = "cli::one_or_many")]
    pub(super) domain: Vec<String>,
    /// The file that `token new` writes; changes to it take effect at once
    #[arg(long, env = "INDRANET_TOKENS", value_name = "FILE", value_parser = discreet::file())]
    #[serde(deserialize_with = "discreet::deserialize_file")]
    pub(super) tokens: Option<PathBuf>,
    /// PEM file with a certificate and its chain: turns TLS on for clients and agents. May be repeated, each with its --tls-key;
    /// the name that is asked for decides, the first one is for all others
    #[arg(long, env = "INDRANET_TLS_CERT", value_name = "FILE", value_delimiter = ',')]
    #[serde(skip)]
    pub(super) tls_cert: Vec<PathBuf>,
    /// PEM file with the private key of the --tls-cert in the same place
    #[arg(long, env = "INDRANET_TLS_KEY", value_name = "FILE", value_delimiter = ',')]
    #[serde(skip)]
    pub(super) tls_key: Vec<PathBuf>,
    /// Host name to order a certificate for, from an ACME authority such as Let's Encrypt; may be repeated. No wildcards
    #[arg(long, env = "INDRANET_ACME_DOMAIN", value_name = "NAME", value_delimiter = ',')]
    #[serde(deserialize_with = "cli::one_or_many")]
    pub(super) acme_domain: Vec<String>,
    /// Agree to the terms of service of that authority, without which it gives nothing
    #[arg(
        long,
        env = "INDRANET_ACME_AGREE_TOS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) acme_agree_tos: Option<bool>,
    /// Directory for the account at that authority and what it gives; gateways that share it share those
    #[arg(long, env = "INDRANET_ACME_CACHE", value_name = "DIR")]
    pub(super) acme_cache: Option<PathBuf>,
    /// Where the authority writes to if something is wrong, e.g. mailto:ops@example.com; may be repeated
    #[arg(long, env = "INDRANET_ACME_CONTACT", value_name = "URL", value_delimiter = ',')]
    #[serde(deserialize_with = "cli::one_or_many")]
    pub(super) acme_contact: Vec<String>,
    /// The authority's directory [default: that of Let's Encrypt]
    #[arg(long, env = "INDRANET_ACME_DIRECTORY", value_name = "URL", conflicts_with = "acme_staging")]
    pub(super) acme_directory: Option<String>,
    /// Take the directory of Let's Encrypt for trials, whose certificates nobody trusts
    #[arg(
        long,
        env = "INDRANET_ACME_STAGING",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) acme_staging: Option<bool>,
    /// PEM file with certificates to know the authority's own server by, besides those that the machine trusts
    #[arg(long, env = "INDRANET_ACME_CA_FILE", value_name = "FILE")]
    pub(super) acme_ca_file: Option<PathBuf>,
    /// What the authority calls the key of an account that you have there already; for those that want one
    #[arg(long, env = "INDRANET_ACME_EAB_KID", value_name = "ID")]
    pub(super) acme_eab_kid: Option<String>,
    /// File with that key in base64url, which only its owner should read
    #[arg(long, env = "INDRANET_ACME_EAB_KEY_FILE", value_name = "FILE")]
    pub(super) acme_eab_key_file: Option<PathBuf>,
    /// How the authority sees whether a name leads here [default: any of them]
    #[arg(long, env = "INDRANET_ACME_CHALLENGE", value_name = "TYPE")]
    pub(super) acme_challenge: Option<Challenge>,
    /// Whether agents connect with TLS, and only so [default: true, once there is a certificate]
    #[arg(
        long,
        env = "INDRANET_AGENTS_TLS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) agents_tls: Option<bool>,
    /// PEM file with the authorities that sign certificates of agents: what an agent shows must be from there and for its id
    #[arg(long, env = "INDRANET_CLIENT_CA", value_name = "FILE")]
    pub(super) client_ca: Option<PathBuf>,
    /// Let no agent in without a certificate
    #[arg(
        long,
        env = "INDRANET_REQUIRE_CLIENT_CERT",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) require_client_cert: Option<bool>,
    /// Send clients on plain HTTP to https with 308
    #[arg(
        long,
        env = "INDRANET_REDIRECT_TO_HTTPS",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) redirect_to_https: Option<bool>,
    /// The master key that secrets of derived tokens come from
    /// [default: $CREDENTIALS_DIRECTORY/indranet-master-key, if it is there]
    #[arg(long, env = "INDRANET_MASTER_KEY_FILE", value_name = "FILE", value_parser = discreet::file())]
    #[serde(deserialize_with = "discreet::deserialize_file")]
    pub(super) master_key_file: Option<PathBuf>,
    /// Append who comes, goes and is refused to this file, a line of JSON each [default: only the log]
    #[arg(long, env = "INDRANET_AUDIT_LOG", value_name = "FILE")]
    pub(super) audit_log: Option<PathBuf>,
    /// How agents are told their URL, e.g. https://{agent}.example.com [default: http://{agent}.DOMAIN:PORT, or https]
    #[arg(long, env = "INDRANET_PUBLIC_URL", value_name = "TEMPLATE")]
    pub(super) public_url: Option<String>,
    /// The gateway's name in logs and towards agents [default: the host name]
    #[arg(long, env = "INDRANET_GATEWAY_ID", value_name = "NAME")]
    pub(super) gateway_id: Option<String>,
    /// Host that agents may dial to reach this gateway; may be repeated [default: any]
    #[arg(long, env = "INDRANET_AUDIENCE", value_name = "HOST", value_delimiter = ',')]
    #[serde(deserialize_with = "cli::one_or_many")]
    pub(super) audience: Vec<String>,
    /// Origin of browser pages that may connect to the WebSocket port; may be repeated [default: none]
    #[arg(long, env = "INDRANET_WS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    #[serde(deserialize_with = "cli::one_or_many")]
    pub(super) ws_origin: Vec<String>,
    /// Network of proxies in front that are believed about their clients, e.g. 10.0.0.0/8; may be repeated [default: none]
    #[arg(long, env = "INDRANET_TRUSTED_PROXY", value_name = "CIDR", value_delimiter = ',')]
    #[serde(deserialize_with = "cli::one_or_many")]
    pub(super) trusted_proxy: Vec<String>,
    /// Connections of trusted proxies begin with a PROXY header, version 1 or 2
    #[arg(
        long,
        env = "INDRANET_PROXY_PROTOCOL",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = BoolishValueParser::new(),
    )]
    pub(super) proxy_protocol: Option<bool>,
    /// Longest request body, e.g. 10MiB [default: any]
    #[arg(long, env = "INDRANET_MAX_BODY", value_name = "SIZE")]
    pub(super) max_body: Option<Size>,
    /// What browsers are shown of the gateway's own errors [default: pretty]
    #[arg(long, env = "INDRANET_ERROR_PAGES", value_name = "PAGES")]
    pub(super) error_pages: Option<Pages>,
    /// How long a service may take to begin its answer [default: 10s]
    #[arg(long, env = "INDRANET_RESPONSE_TIMEOUT", value_name = "TIME")]
    pub(super) response_timeout: Option<Span>,
    /// How long a request may rest once its answer has begun, 0s for ever [default: 1m]
    #[arg(long, env = "INDRANET_IDLE_TIMEOUT", value_name = "TIME")]
    pub(super) idle_timeout: Option<Span>,
    /// Silence after which an agent asks whether the gateway is still there [default: 20s]
    #[arg(long, env = "INDRANET_HEARTBEAT_INTERVAL", value_name = "TIME")]
    pub(super) heartbeat_interval: Option<Span>,
    /// How long an agent waits for an answer to that [default: 10s]
    #[arg(long, env = "INDRANET_HEARTBEAT_TIMEOUT", value_name = "TIME")]
    pub(super) heartbeat_timeout: Option<Span>,
    /// How long requests may go on after SIGTERM [default: 30s]
    #[arg(long, env = "INDRANET_GRACE_PERIOD", value_name = "TIME")]
    pub(super) grace_period: Option<Span>,
    /// Requests in progress at a time for one agent's link [default: 1024]
    #[arg(long, env = "INDRANET_MAX_CONCURRENT", value_name = "N")]
    pub(super) max_concurrent: Option<u32>,
    /// Bytes of bodies that all requests together may hold; beyond it 503 [default: 1GiB]
    #[arg(long, env = "INDRANET_BODY_MEMORY", value_name = "SIZE")]
    pub(super) body_memory: Option<Size>,
    /// How long a request waits for an agent that was lost a moment ago, 0s not at all [default: 2s]
    #[arg(long, env = "INDRANET_OFFLINE_GRACE", value_name = "TIME")]
    pub(super) offline_grace: Option<Span>,
    /// Several processes with one agent id: pool shares the requests, replace keeps the newest, refuse the oldest [default: pool]
    #[arg(long, env = "INDRANET_INSTANCES", value_name = "POLICY")]
    pub(super) instances: Option<Instances>,
    /// Sessions at a time with one token that has no limit of its own [default: 16384]
    #[arg(long, env = "INDRANET_MAX_SESSIONS_PER_TOKEN", value_name = "N")]
    pub(super) max_sessions_per_token: Option<u32>,
    /// Sessions at a time of one agent id [default: 1024]
    #[arg(long, env = "INDRANET_MAX_SESSIONS_PER_AGENT", value_name = "N")]
    pub(super) max_sessions_per_agent: Option<u32>,
    /// Failed attempts to authenticate from one address: so many at once, and so many a minute [default: 10]
    #[arg(long, env = "INDRANET_MAX_AUTH_FAILURES", value_name = "N")]
    pub(super) max_auth_failures: Option<u32>,
    /// How long a client may take to send its request's head [default: 10s]
    #[arg(long, env = "INDRANET_HEADER_TIMEOUT", value_name = "TIME")]
    pub(super) header_timeout: Option<Span>,
    /// How long a client's connection may rest between two requests [default: 1m 15s]
    #[arg(long, env = "INDRANET_KEEP_ALIVE_TIMEOUT", value_name = "TIME")]
    pub(super) keep_alive_timeout: Option<Span>,
    /// How long a client's connection may rest after SIGTERM before it is closed [default: 2s]
    #[arg(long, env = "INDRANET_DRAIN_IDLE", value_name = "TIME")]
    pub(super) drain_idle: Option<Span>,
    /// Age at which agents are asked to make another link, 20 % more or less; 0s for never [default: 0s]
    #[arg(long, env = "INDRANET_MAX_LINK_AGE", value_name = "TIME")]
    pub(super) max_link_age: Option<Span>,
    /// Clients' connections at a time, further ones are closed at once [default: 20000]
    #[arg(long, env = "INDRANET_MAX_CONNECTIONS", value_name = "N")]
    pub(super) max_connections: Option<usize>,
    /// The same for one client address, trusted proxies excepted; 0 for any [default: 0]
    #[arg(long, env = "INDRANET_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub(super) max_connections_per_address: Option<usize>,
    /// Connections on the agents' ports on which no agent was accepted yet [default: 1000]
    #[arg(long, env = "INDRANET_MAX_UNAUTHENTICATED", value_name = "N")]
    pub(super) max_unauthenticated: Option<usize>,
    /// Of these, from one address [default: 64]
    #[arg(long, env = "INDRANET_MAX_UNAUTHENTICATED_PER_ADDRESS", value_name = "N")]
    pub(super) max_unauthenticated_per_address: Option<usize>,
    /// Threads to serve with [default: half of the cores]
    #[arg(long, env = "INDRANET_THREADS", value_name = "N")]
    pub(super) threads: Option<usize>,
    /// How log lines look [default: text]
    #[arg(long, env = "INDRANET_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) log_format: Option<Format>,
    /// What is logged, e.g. debug or info,session=trace [default: info]
    #[arg(long, env = "INDRANET_LOG", value_name = "FILTER")]
    pub(super) log_level: Option<String>,
    /// What --tls-cert and --tls-key say, in the file.
    #[arg(skip)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) certificate: Vec<CertificateSettings>,
    /// What is asked of the clients of all agents. In the file only.
    #[arg(skip)]
    pub(super) agent_defaults: Option<DefaultSettings>,
    /// What is asked of the clients of one agent each. In the file only.
    #[arg(skip)]
    pub(super) agent: Vec<AgentSettings>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CertificateSettings {
    pub(super) cert: PathBuf,
    pub(super) key: PathBuf,
}

cli::layer!(Settings {
    http,
    https,
    grpc,
    ws,
    admin,
    reuse_port,
    domain,
    tokens,
    tls_cert,
    tls_key,
    acme_domain,
    acme_agree_tos,
    acme_cache,
    acme_contact,
    acme_directory,
    acme_staging,
    acme_ca_file,
    acme_eab_kid,
    acme_eab_key_file,
    acme_challenge,
    agents_tls,
    client_ca,
    require_client_cert,
    redirect_to_https,
    master_key_file,
    audit_log,
    public_url,
    gateway_id,
    audience,
    ws_origin,
    trusted_proxy,
    proxy_protocol,
    max_body,
    error_pages,
    response_timeout,
    idle_timeout,
    heartbeat_interval,
    heartbeat_timeout,
    grace_period,
    max_concurrent,
    body_memory,
    offline_grace,
    instances,
    max_sessions_per_token,
    max_sessions_per_agent,
    max_auth_failures,
    header_timeout,
    keep_alive_timeout,
    drain_idle,
    max_link_age,
    max_connections,
    max_connections_per_address,
    max_unauthenticated,
    max_unauthenticated_per_address,
    threads,
    log_format,
    log_level,
    certificate,
    agent_defaults,
    agent,
});
