use ::gateway::{
    EdgeConfig,
    edge::{AgentSettings, DefaultSettings, Network, Policies, Size},
};
use serde::Deserialize;

use crate::DOMAIN;

/// What of a gateway's configuration file is about clients.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct File {
    trusted_proxy: Vec<Network>,
    proxy_protocol: bool,
    max_body: Option<Size>,
    agent_defaults: DefaultSettings,
    agent: Vec<AgentSettings>,
}

/// What a gateway asks of clients, as its configuration file says it.
pub fn edge(toml: &str) -> EdgeConfig {
    let File { trusted_proxy, proxy_protocol, max_body, agent_defaults, agent } =
        toml::from_str(toml).unwrap();
    EdgeConfig {
        trusted_proxies: trusted_proxy,
        proxy_protocol,
        max_body: max_body.map(|Size(bytes)| bytes),
        policies: Policies::new(agent, agent_defaults, &[DOMAIN.to_owned()]).unwrap(),
        ..EdgeConfig::default()
    }
}
