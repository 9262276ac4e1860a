use bytes::Bytes;
use http1::{RequestHead, Version};
use proto::{AgentId, HttpVersion};

use super::{Domains, Target};
use crate::{
    edge::{HostPattern, Hosts},
    ingress::head::{Head, Target as RequestTarget},
};

/// Host names to agents, without a gateway around them, for fuzz targets.
#[doc(hidden)]
#[derive(Debug)]
pub struct Routes {
    domains: Domains,
    hosts: Hosts,
}

impl Routes {
    /// Takes lower-case domains without a dot at either end, and names of agents' own.
    pub fn new(domains: &[String], hosts: impl IntoIterator<Item = (HostPattern, AgentId)>) -> Self {
        let mut routes = Self { domains: Domains::new(domains), hosts: Hosts::default() };
        for (pattern, agent_id) in hosts {
            routes.hosts.add(pattern, agent_id);
        }
        routes
    }

    /// Whom a request is for, and the host and port that say so.
    ///
    /// # Errors
    /// The code of the answer that its client would get.
    pub fn destination(&self, head: RequestHead) -> Result<(AgentId, Bytes), &'static str> {
        let target = RequestTarget::parse(&head.method, head.target).map_err(|error| error.code())?;
        let head = Head {
            target,
            method: head.method,
            version: match head.version {
                Version::H10 => HttpVersion::HttpVersion10,
                Version::H11 => HttpVersion::HttpVersion11,
            },
            fields: head.fields,
            upgrade: None,
            expect_continue: false,
        };
        let found = self.domains.target(&head, &self.hosts).map_err(|error| error.code())?;
        let Target { agent_id, authority } = found;
        Ok((agent_id, authority))
    }
}
