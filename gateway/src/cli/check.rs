//! From what was given to what is valid.

mod acme;
mod error;
mod names;
mod tls;

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

use ::cli::{Span, log};
use gateway::{
    Config, EdgeConfig, Limits, Reactors, UrlTemplate,
    edge::{Policies, Size},
    tokens::TokenFile,
};

pub(super) use self::error::ConfigError;
use super::settings::Settings;

/// Settings in which nothing is missing or wrong.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: Config,
    pub(super) threads: NonZeroUsize,
    pub(super) log_format: log::Format,
    pub(super) log_level: String,
    /// As it was written; [`UrlTemplate`] only makes URLs.
    public_url: Option<String>,
}

impl Checked {
    /// Fills in defaults and checks everything that can be checked without opening a socket.
    pub(super) fn new(settings: Settings) -> Result<Self, ConfigError> {
        let domains = names::domains(&settings.domain)?;
        let config = Config {
            http: settings.http.unwrap_or(everywhere(8082)),
            grpc: settings.grpc.unwrap_or(everywhere(8081)),
            ws: settings.ws.unwrap_or(everywhere(8080)),
            admin: settings.admin.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8083))),
            edge: edge(&settings, &domains)?,
            domains,
            tokens: readable(settings.tokens.clone())?,
            public_url: settings.public_url.as_deref().map(UrlTemplate::parse).transpose()?,
            gateway_id: names::gateway_id(settings.gateway_id.clone())?,
            audiences: names::audiences(&settings.audience)?,
            ws_origins: names::origins(&settings.ws_origin)?,
            limits: limits(&settings)?,
            tls: tls::tls(&settings)?,
        };
        distinct(&config)?;
        Ok(Self {
            config,
            threads: threads(settings.threads)?,
            log_format: settings.log_format.unwrap_or_default(),
            log_level: settings.log_level.unwrap_or_else(|| log::DEFAULT_LEVEL.to_owned()),
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
            gateway_id,
            audiences,
            ws_origins,
            limits,
            edge,
            tls,
            ..
        } = self.config;
        let (agent, agent_defaults) = edge.policies.into_tables();
        let settings = Settings {
            redirect_to_https: Some(edge.redirect_to_https),
            http: Some(http),
            grpc: Some(grpc),
            ws: Some(ws),
            admin: Some(admin),
            domain: domains,
            tokens: Some(tokens),
            public_url: self.public_url,
            gateway_id: Some(gateway_id),
            audience: audiences,
            ws_origin: ws_origins,
            trusted_proxy: edge.trusted_proxies.iter().map(ToString::to_string).collect(),
            proxy_protocol: Some(edge.proxy_protocol),
            max_body: edge.max_body.map(Size),
            error_pages: Some(edge.pages),
            response_timeout: Some(limits.response_timeout.into()),
            idle_timeout: Some(limits.idle_timeout.into()),
            heartbeat_interval: Some(limits.heartbeat_interval.into()),
            heartbeat_timeout: Some(limits.heartbeat_timeout.into()),
            grace_period: Some(limits.grace_period.into()),
            max_concurrent: Some(limits.max_concurrent),
            header_timeout: Some(limits.header_timeout.into()),
            keep_alive_timeout: Some(limits.keep_alive_timeout.into()),
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

/// Loaded here only to be checked; the gateway loads the file itself, again and again.
fn readable(tokens: Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    let path = tokens.ok_or(ConfigError::NoTokens)?;
    TokenFile::load(&path)?;
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
        response_timeout: positive(
            "--response-timeout",
            settings.response_timeout,
            default.response_timeout,
        )?,
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
        header_timeout: positive("--header-timeout", settings.header_timeout, default.header_timeout)?,
        keep_alive_timeout: positive(
            "--keep-alive-timeout",
            settings.keep_alive_timeout,
            default.keep_alive_timeout,
        )?,
        lobby: default.lobby,
    })
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
