//! From what was given to what is valid.

mod acme;
mod error;
mod names;
mod tls;

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use ::cli::{Span, log};
use gateway::{
    Config, EdgeConfig, Limits, Reactors, UrlTemplate,
    edge::{Policies, Size},
    tokens::{MasterKey, TokenFile},
};
use session::{LobbyLimits, Rate, Terms};

pub(super) use self::error::ConfigError;
use super::{settings::Settings, token::master_key_file};

/// Settings in which nothing is missing or wrong.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: Config,
    pub(super) threads: NonZeroUsize,
    pub(super) log_format: log::Format,
    pub(super) log_level: String,
    audit_log: Option<PathBuf>,
    /// How many attempts of an address may fail; the limits hold it as a rate.
    max_auth_failures: u32,
    /// As it was written; [`UrlTemplate`] only makes URLs.
    public_url: Option<String>,
}

impl Checked {
    /// Fills in defaults and checks everything that can be checked without opening a socket.
    pub(super) fn new(settings: Settings) -> Result<Self, ConfigError> {
        let domains = names::domains(&settings.domain)?;
        let master_key_file = master_key_file(settings.master_key_file.clone());
        let tokens = readable(settings.tokens.clone(), master_key_file.as_deref())?;
        let config = Config {
            http: settings.http.unwrap_or(everywhere(8082)),
            grpc: settings.grpc.unwrap_or(everywhere(8081)),
            ws: settings.ws.unwrap_or(everywhere(8080)),
            admin: settings.admin.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8083))),
            edge: edge(&settings, &domains)?,
            domains,
            tokens,
            master_key_file,
            public_url: settings.public_url.as_deref().map(UrlTemplate::parse).transpose()?,
            gateway_id: names::gateway_id(settings.gateway_id.clone())?,
            audiences: names::audiences(&settings.audience)?,
            ws_origins: names::origins(&settings.ws_origin)?,
            limits: limits(&settings)?,
            tls: tls::tls(&settings)?,
            reuse_port: settings.reuse_port.unwrap_or(false),
            audit: None,
        };
        distinct(&config)?;
        if let Some(tls) = &config.tls {
            tls.check(&config.hosts())?;
        }
        Ok(Self {
            config,
            threads: threads(settings.threads)?,
            log_format: settings.log_format.unwrap_or_default(),
            log_level: settings.log_level.unwrap_or_else(|| log::DEFAULT_LEVEL.to_owned()),
            audit_log: settings.audit_log,
            max_auth_failures: settings.max_auth_failures.unwrap_or(LobbyLimits::FAILURES),
            public_url: settings.public_url,
        })
    }

    /// The settings that would give the same again, with nothing left to a default that has one.
    pub(super) fn into_settings(self) -> Settings {
        let Config {
            http,
            grpc,
            ws,
            admin,
            domains,
            tokens,
            master_key_file,
            gateway_id,
            audiences,
            ws_origins,
            limits,
            edge,
            tls,
            reuse_port,
            ..
        } = self.config;
        let (agent, agent_defaults) = edge.policies.into_tables();
        let settings = Settings {
            redirect_to_https: Some(edge.redirect_to_https),
            http: Some(http),
            grpc: Some(grpc),
            ws: Some(ws),
            admin: Some(admin),
            reuse_port: Some(reuse_port),
            domain: domains,
            tokens: Some(tokens),
            master_key_file,
            audit_log: self.audit_log,
            public_url: self.public_url,
            gateway_id: Some(gateway_id),
            audience: audiences,
            ws_origin: ws_origins,
            trusted_proxy: edge.trusted_proxies.iter().map(ToString::to_string).collect(),
            proxy_protocol: Some(edge.proxy_protocol),
            max_body: edge.max_body.map(Size),
            error_pages: Some(edge.pages),
            response_timeout: Some(limits.response_timeout.into()),
            idle_timeout: Some(limits.terms.idle_timeout.into()),
            heartbeat_interval: Some(limits.terms.heartbeat_interval.into()),
            heartbeat_timeout: Some(limits.terms.heartbeat_timeout.into()),
            grace_period: Some(limits.terms.grace_period.into()),
            max_concurrent: Some(limits.terms.max_concurrent),
            body_memory: Some(Size(limits.terms.body_memory)),
            offline_grace: Some(limits.offline_grace.into()),
            instances: Some(limits.instances),
            max_sessions_per_token: Some(limits.terms.max_sessions_per_token),
            max_sessions_per_agent: Some(limits.terms.max_sessions_per_agent),
            max_auth_failures: Some(self.max_auth_failures),
            header_timeout: Some(limits.header_timeout.into()),
            keep_alive_timeout: Some(limits.keep_alive_timeout.into()),
            drain_idle: Some(limits.drain_idle.into()),
            max_link_age: Some(limits.terms.max_link_age.into()),
            max_connections: Some(limits.max_connections),
            max_connections_per_address: Some(limits.max_connections_per_address),
            max_unauthenticated: Some(limits.lobby.total),
            max_unauthenticated_per_address: Some(limits.lobby.per_address),
            threads: Some(self.threads.get()),
            log_format: Some(self.log_format),
            log_level: Some(self.log_level),
            agent_defaults: Some(agent_defaults),
            agent,
            ..Settings::default()
        };
        match tls {
            Some(tls) => tls::with(tls, settings),
            None => settings,
        }
    }
}

fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

/// Loaded here only to be checked; the gateway loads the files itself, the tokens again and again.
fn readable(tokens: Option<PathBuf>, master_key_file: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let path = tokens.ok_or(ConfigError::NoTokens)?;
    let master = master_key_file.map(MasterKey::load).transpose()?;
    TokenFile::load(&path)?.credentials(master.as_ref(), &path)?;
    Ok(path)
}

fn edge(settings: &Settings, domains: &[String]) -> Result<EdgeConfig, ConfigError> {
    let trusted_proxies = names::networks(&settings.trusted_proxy)?;
    let proxy_protocol = settings.proxy_protocol.unwrap_or(false);
    if proxy_protocol && trusted_proxies.is_empty() {
        return Err(ConfigError::NoTrustedProxy);
    }
    let redirect_to_https = settings.redirect_to_https.unwrap_or(false);
    Ok(EdgeConfig {
        trusted_proxies,
        proxy_protocol,
        redirect_to_https,
        max_body: settings.max_body.map(|Size(bytes)| bytes),
        pages: settings.error_pages.unwrap_or_default(),
        policies: policies(settings.clone(), domains)?,
        source: None,
    })
}

/// The tables about agents, which may change while the gateway runs.
pub(super) fn policies(settings: Settings, domains: &[String]) -> Result<Policies, ConfigError> {
    let Settings { agent, agent_defaults, .. } = settings;
    Ok(Policies::new(agent, agent_defaults.unwrap_or_default(), domains)?)
}

fn limits(settings: &Settings) -> Result<Limits, ConfigError> {
    let default = Limits::default();
    Ok(Limits {
        terms: terms(settings, default.terms)?,
        response_timeout: positive(
            "--response-timeout",
            settings.response_timeout,
            default.response_timeout,
        )?,
        offline_grace: bounded("--offline-grace", settings.offline_grace, default.offline_grace)?,
        instances: settings.instances.unwrap_or(default.instances),
        header_timeout: positive("--header-timeout", settings.header_timeout, default.header_timeout)?,
        keep_alive_timeout: positive(
            "--keep-alive-timeout",
            settings.keep_alive_timeout,
            default.keep_alive_timeout,
        )?,
        drain_idle: bounded("--drain-idle", settings.drain_idle, default.drain_idle)?,
        max_connections: at_least_one("--max-connections", settings.max_connections)?
            .unwrap_or(default.max_connections),
        max_connections_per_address: settings
            .max_connections_per_address
            .unwrap_or(default.max_connections_per_address),
        lobby: LobbyLimits {
            total: at_least_one("--max-unauthenticated", settings.max_unauthenticated)?
                .unwrap_or(default.lobby.total),
            per_address: at_least_one(
                "--max-unauthenticated-per-address",
                settings.max_unauthenticated_per_address,
            )?
            .unwrap_or(default.lobby.per_address),
            failures: failures(settings.max_auth_failures)?,
            ..default.lobby
        },
    })
}

fn terms(settings: &Settings, default: Terms) -> Result<Terms, ConfigError> {
    Ok(Terms {
        idle_timeout: bounded("--idle-timeout", settings.idle_timeout, default.idle_timeout)?,
        heartbeat_interval: positive(
            "--heartbeat-interval",
            settings.heartbeat_interval,
            default.heartbeat_interval,
        )?,
        heartbeat_timeout: positive(
            "--heartbeat-timeout",
            settings.heartbeat_timeout,
            default.heartbeat_timeout,
        )?,
        grace_period: bounded("--grace-period", settings.grace_period, default.grace_period)?,
        max_concurrent: at_least_one("--max-concurrent", settings.max_concurrent)?
            .unwrap_or(default.max_concurrent),
        body_memory: at_least_one("--body-memory", settings.body_memory.map(|Size(bytes)| bytes))?
            .unwrap_or(default.body_memory),
        max_link_age: bounded("--max-link-age", settings.max_link_age, default.max_link_age)?,
        max_sessions_per_token: at_least_one("--max-sessions-per-token", settings.max_sessions_per_token)?
            .unwrap_or(default.max_sessions_per_token),
        max_sessions_per_agent: at_least_one("--max-sessions-per-agent", settings.max_sessions_per_agent)?
            .unwrap_or(default.max_sessions_per_agent),
    })
}

/// A million a second is as fast as anything is counted.
fn failures(given: Option<u32>) -> Result<Rate, ConfigError> {
    let count = at_least_one("--max-auth-failures", given)?.unwrap_or(LobbyLimits::FAILURES);
    Ok(LobbyLimits::failures(count.min(60_000_000)))
}

/// Times travel as milliseconds in 32 bits, and a deadline must not overflow the clock.
const LONGEST: Duration = Duration::from_millis(u32::MAX as u64);

fn bounded(flag: &'static str, given: Option<Span>, default: Duration) -> Result<Duration, ConfigError> {
    let time = given.map_or(default, |Span(time)| time);
    if time > LONGEST { Err(ConfigError::TooLong { flag }) } else { Ok(time) }
}

/// What would be zero after the conversion to milliseconds counts as zero.
fn positive(flag: &'static str, given: Option<Span>, default: Duration) -> Result<Duration, ConfigError> {
    let time = bounded(flag, given, default)?;
    if time.as_millis() == 0 { Err(ConfigError::Zero { flag }) } else { Ok(time) }
}

fn threads(given: Option<usize>) -> Result<NonZeroUsize, ConfigError> {
    match given {
        None => Ok(Reactors::usual()),
        Some(count) => NonZeroUsize::new(count).ok_or(ConfigError::Zero { flag: "--threads" }),
    }
}

fn at_least_one<N: Default + PartialEq>(
    flag: &'static str,
    given: Option<N>,
) -> Result<Option<N>, ConfigError> {
    if given == Some(N::default()) { Err(ConfigError::Zero { flag }) } else { Ok(given) }
}

/// Two listeners cannot share an address. Port 0 stands for any free one.
fn distinct(config: &Config) -> Result<(), ConfigError> {
    let mut listeners = vec![
        ("--http", config.http),
        ("--grpc", config.grpc),
        ("--ws", config.ws),
        ("--admin", config.admin),
    ];
    listeners.extend(config.tls.as_ref().map(|tls| ("--https", tls.https)));
    for (index, (second, address)) in listeners.iter().copied().enumerate() {
        let same = |(_, other): &&(&str, SocketAddr)| *other == address && address.port() != 0;
        if let Some((first, _)) = listeners[..index].iter().find(same) {
            return Err(ConfigError::SameAddress { first, second, address });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
