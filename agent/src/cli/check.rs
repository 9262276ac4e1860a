//! From what was given to what is valid.

use std::{net::SocketAddr, path::Path, time::Duration};

use ::cli::{Span, log, pem::PemError};
use agent::{
    ChannelBinding, Config, GatewayTls, GatewayUrl, HostField, InvalidProxy, InvalidServerName, LinkAge,
    UpstreamTls,
};
use proto::{AgentId, InvalidAgentId, limits};

use super::{
    credential::{self, CredentialError},
    gateway_url::{self, GatewayUrlError},
    health::{self, HealthCheckError},
    proxy::{self, ProxyText},
    route::{self, RouteError},
    settings::{RouteSettings, Settings},
    slug::slug,
    target::{self, TargetError},
};

/// Settings in which nothing is missing or wrong.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) config: Config,
    pub(super) admin: Option<SocketAddr>,
    pub(super) status: bool,
    pub(super) quiet: bool,
    pub(super) log_format: log::Format,
}

/// What is missing or wrong in the settings of `connect`, with the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConfigError {
    #[error("no local service; say which, e.g. `agent-tunnel connect 3000`")]
    NoTarget,
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error("`{0}` cannot be the --host; say preserve, upstream or a name")]
    Host(String),
    #[error("--upstream-ca is not usable")]
    Ca(#[source] PemError),
    #[error("--upstream-insecure believes any certificate; leave it or --upstream-ca off")]
    CaAndInsecure,
    #[error(transparent)]
    Gateway(#[from] GatewayUrlError),
    #[error("--ca-file is not usable")]
    GatewayCa(#[source] PemError),
    #[error("--insecure-skip-verify believes any certificate; leave it or --ca-file off")]
    GatewayCaAndInsecure,
    #[error("--tls-server-name is not usable")]
    ServerName(#[from] InvalidServerName),
    #[error("--client-cert is not usable")]
    ClientCert(#[source] PemError),
    #[error("--client-cert and --client-key go together; name both")]
    ClientPair,
    #[error("--channel-binding require needs TLS, which {0} has not; dial grpcs://, wss:// or https://")]
    NoTls(GatewayUrl),
    #[error("`{id}` cannot be the agent's --id")]
    Id { id: String, source: InvalidAgentId },
    #[error(transparent)]
    Proxy(#[from] InvalidProxy),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("--grace-period is too long; at most 49 days are possible")]
    GracePeriod,
    #[error("--connections {0} is not possible; say 1 to {max}", max = limits::MAX_CONNECTIONS)]
    Connections(u32),
    #[error("--max-link-age is too short; at least 1s is possible, and 0s is never")]
    LinkAge,
    #[error(transparent)]
    HealthCheck(#[from] HealthCheckError),
    #[error("--health-interval is not possible; say 100ms to 1day")]
    HealthInterval,
}

impl Checked {
    /// Fills in defaults and checks everything that can be checked without opening a socket.
    pub(super) fn new(settings: Settings) -> Result<Self, ConfigError> {
        let protocol = settings.upstream_protocol;
        let upstream = target::parse(settings.target.as_ref().ok_or(ConfigError::NoTarget)?, protocol)?;
        let upstream_tls = upstream_tls(settings.upstream_ca.as_deref(), settings.upstream_insecure)?;
        let gateways = gateways(&settings.gateway)?;
        let gateway_tls = gateway_tls(&settings)?;
        let channel_binding = settings.channel_binding.unwrap_or_default();
        if channel_binding == ChannelBinding::Require
            && let Some(url) = gateways.iter().find(|url| !url.tls)
        {
            return Err(ConfigError::NoTls(url.clone()));
        }
        let credential = credential::find(settings.token, settings.token_file)?;
        let agent_id = match settings.id {
            Some(id) => AgentId::parse(&id).map_err(|source| ConfigError::Id { id, source })?,
            None => slug(&credential.token, &upstream),
        };
        let health_check = settings.health_check.map(|text| health::parse(&text, &upstream)).transpose()?;
        let config = Config {
            connections: connections(settings.connections)?,
            link_age: link_age(settings.max_link_age)?,
            health_check,
            health_interval: health_interval(settings.health_interval)?,
            upstream_tls,
            gateway_tls,
            channel_binding,
            host: host(settings.host)?,
            passthrough: settings.passthrough.unwrap_or_default(),
            routes: route::routes(&settings.route, settings.routes, protocol)?,
            proxies: proxy::proxies(settings.proxy.as_ref(), &gateways)?,
            max_retries: settings.max_retries,
            grace_period: grace_period(settings.grace_period)?,
            max_concurrent: settings.max_concurrent.unwrap_or_default(),
            ..Config::new(upstream, gateways, agent_id, credential)
        };
        let log_format = settings.log_format.unwrap_or_default();
        let (admin, status) = (settings.admin, settings.status.unwrap_or(true));
        Ok(Self { config, admin, status, quiet: settings.quiet.unwrap_or_default(), log_format })
    }

    /// The settings that would give the same again, but for the token, the proxy's password and the files that are named.
    pub(super) fn into_settings(self) -> Settings {
        let proxy = ProxyText::shown(&self.config.proxies, &self.config.gateways);
        let Config { upstream, host, passthrough, routes, gateways, agent_id, .. } = self.config;
        let Config { max_retries, grace_period, max_concurrent, connections, .. } = self.config;
        let Config { link_age, health_check, health_interval, channel_binding, .. } = self.config;
        let routes = routes.into_iter().map(|route| RouteSettings {
            prefix: if route.prefix.is_empty() { "/".to_owned() } else { route.prefix },
            target: route.upstream.to_string(),
            strip_prefix: route.strip_prefix,
        });
        Settings {
            target: Some(upstream.to_string()),
            upstream_protocol: None,
            upstream_ca: None,
            upstream_insecure: None,
            host: Some(host.to_string()),
            passthrough: Some(passthrough),
            route: Vec::new(),
            routes: routes.collect(),
            gateway: gateways.iter().map(GatewayUrl::to_string).collect(),
            id: Some(agent_id.to_string()),
            proxy: Some(proxy),
            ca_file: None,
            tls_server_name: None,
            client_cert: None,
            client_key: None,
            channel_binding: Some(channel_binding),
            insecure_skip_verify: None,
            token: None,
            token_file: None,
            max_retries,
            grace_period: Some(grace_period.into()),
            max_concurrent: Some(max_concurrent),
            connections: Some(connections),
            max_link_age: match link_age {
                LinkAge::Learned => None,
                LinkAge::Unlimited => Some(Duration::ZERO.into()),
                LinkAge::AtMost(age) => Some(age.into()),
            },
            health_check: health_check.map(|check| check.to_string()),
            health_interval: Some(health_interval.into()),
            admin: self.admin,
            status: Some(self.status),
            quiet: Some(self.quiet),
            log_format: Some(self.log_format),
            log_level: None,
        }
    }
}

/// The addresses to dial; the default one if none is given.
pub(super) fn gateways(given: &[String]) -> Result<Vec<GatewayUrl>, GatewayUrlError> {
    if given.is_empty() {
        gateway_url::expand(&[gateway_url::DEFAULT.to_owned()])
    } else {
        gateway_url::expand(given)
    }
}

fn host(given: Option<String>) -> Result<HostField, ConfigError> {
    let Some(text) = given else { return Ok(HostField::Preserve) };
    route::host_field(&text).ok_or(ConfigError::Host(text))
}

fn upstream_tls(ca: Option<&Path>, insecure: Option<bool>) -> Result<UpstreamTls, ConfigError> {
    match (ca, insecure.unwrap_or_default()) {
        (None, false) => Ok(UpstreamTls::default()),
        (None, true) => Ok(UpstreamTls::insecure()),
        (Some(path), false) => UpstreamTls::with_ca(path).map_err(ConfigError::Ca),
        (Some(_), true) => Err(ConfigError::CaAndInsecure),
    }
}

fn gateway_tls(settings: &Settings) -> Result<GatewayTls, ConfigError> {
    let mut tls = match (&settings.ca_file, settings.insecure_skip_verify.unwrap_or_default()) {
        (None, false) => GatewayTls::default(),
        (None, true) => GatewayTls::insecure(),
        (Some(path), false) => GatewayTls::with_ca(path).map_err(ConfigError::GatewayCa)?,
        (Some(_), true) => return Err(ConfigError::GatewayCaAndInsecure),
    };
    if let Some(name) = &settings.tls_server_name {
        tls = tls.with_server_name(name)?;
    }
    match (&settings.client_cert, &settings.client_key) {
        (None, None) => Ok(tls),
        (Some(cert), Some(key)) => tls.with_certificate(cert, key).map_err(ConfigError::ClientCert),
        _ => Err(ConfigError::ClientPair),
    }
}

/// A deadline must not overflow the clock, and travels as milliseconds in 32 bits.
fn grace_period(given: Option<Span>) -> Result<Duration, ConfigError> {
    let time = given.map_or(limits::DRAIN_DEADLINE, |Span(time)| time);
    if time.as_millis() > u32::MAX.into() { Err(ConfigError::GracePeriod) } else { Ok(time) }
}

fn connections(given: Option<u32>) -> Result<u32, ConfigError> {
    match given {
        None => Ok(2),
        Some(number) if (1..=limits::MAX_CONNECTIONS).contains(&number) => Ok(number),
        Some(number) => Err(ConfigError::Connections(number)),
    }
}

fn link_age(given: Option<Span>) -> Result<LinkAge, ConfigError> {
    match given {
        None => Ok(LinkAge::Learned),
        Some(Span(Duration::ZERO)) => Ok(LinkAge::Unlimited),
        Some(Span(age)) if age >= Duration::from_secs(1) => Ok(LinkAge::AtMost(age)),
        Some(_) => Err(ConfigError::LinkAge),
    }
}

fn health_interval(given: Option<Span>) -> Result<Duration, ConfigError> {
    let time = given.map_or(Duration::from_secs(10), |Span(time)| time);
    let possible = Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60);
    if possible.contains(&time) { Ok(time) } else { Err(ConfigError::HealthInterval) }
}

#[cfg(test)]
mod tests;
