//! What the configuration says about agents one by one, for the moment in which one connects.

use std::{collections::HashSet, sync::Arc, time::Duration};

use proto::AgentId;
use session::{AgentRules, Instances};

use crate::{
    Addresses, Config, UrlTemplate,
    edge::{Edge, Hosts},
};

/// The word of the configuration file goes before that of the command line, and the one about an agent before that about
/// all. Read anew for every agent, since the file may have changed.
pub(crate) struct Rulebook {
    config: Config,
    edge: Arc<Edge>,
    /// Where this gateway listens.
    addresses: Addresses,
}

impl Rulebook {
    pub(crate) fn new(config: &Config, edge: &Arc<Edge>, addresses: Addresses) -> Self {
        Self { config: config.clone(), edge: Arc::clone(edge), addresses }
    }
}

impl AgentRules for Rulebook {
    fn public_urls(&self, agent_id: &AgentId) -> Vec<String> {
        public_urls(&self.config, self.edge.rules().hosts(), self.addresses, agent_id)
    }

    fn response_timeout(&self, agent_id: &AgentId) -> Duration {
        let own = self.edge.rules().connecting(agent_id).response_timeout;
        own.unwrap_or(self.config.limits.response_timeout)
    }

    fn instances(&self, agent_id: &AgentId) -> Instances {
        self.edge.rules().connecting(agent_id).instances.unwrap_or(self.config.limits.instances)
    }
}

/// A URL for the agent's id, and one for each other host name that it has.
pub(crate) fn public_urls(
    config: &Config,
    hosts: &Hosts,
    addresses: Addresses,
    agent_id: &AgentId,
) -> Vec<String> {
    let hosts = hosts.of(agent_id);
    if let Some(template) = &config.public_url {
        return distinct([template.url(agent_id)].into_iter().chain(hosts.map(|host| template.url_of(host))));
    }
    let (scheme, usual, port) = match addresses.https {
        Some(https) => ("https", 443, https.port()),
        None => ("http", 80, addresses.http.port()),
    };
    let port = if port == usual { String::new() } else { format!(":{port}") };
    let names = config.domains.iter().map(|domain| format!("{agent_id}.{domain}"));
    distinct(names.chain(hosts.map(str::to_owned)).map(|name| format!("{scheme}://{name}{port}")))
}

/// Each once, in their order: `hosts` may name what the id stands for anyway.
fn distinct(urls: impl Iterator<Item = String>) -> Vec<String> {
    let mut known = HashSet::new();
    urls.filter(|url| known.insert(url.clone())).collect()
}

/// Where clients reach https: as the public URLs say, else where this gateway listens for it.
pub(crate) fn https_port(config: &Config, addresses: Addresses) -> u16 {
    let told = config.public_url.as_ref().and_then(UrlTemplate::https_port);
    told.or(addresses.https.map(|addr| addr.port())).unwrap_or(443)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_once() {
        let urls = ["b", "a", "b"].map(str::to_owned);
        assert_eq!(distinct(urls.into_iter()), ["b", "a"]);
    }
}
