//! From the host name of a request to the agent that it is for.

use std::net::Ipv6Addr;

use bytes::Bytes;
use proto::{AgentId, Fields, HttpVersion};

use crate::{edge::Hosts, error::IngressError, ingress::head::Head};

mod destination;

pub use destination::Routes;

/// The domains whose direct children are agents.
#[derive(Clone, Debug)]
pub(crate) struct Domains(Box<[String]>);

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The agent.
    pub(crate) agent_id: AgentId,
    /// The host and port as the client sent them.
    pub(crate) authority: Bytes,
}

impl Domains {
    /// Takes lower-case domains without a dot at either end.
    pub(crate) fn new(domains: &[String]) -> Self {
        Self(domains.into())
    }

    /// Finds the agent that a request names: by the authority of an absolute target, else by `Host`. No other field
    /// ever routes. A name among `hosts` goes before an id under a domain, and both before a wildcard.
    ///
    /// # Errors
    /// [`IngressError::BadHost`] if there is no single well-formed host
    /// name, [`IngressError::AgentNotFound`] if it is not that of an agent.
    pub(crate) fn target(&self, head: &Head, hosts: &Hosts) -> Result<Target, IngressError> {
        let authority = authority(head).ok_or(IngressError::BadHost)?;
        let text = std::str::from_utf8(authority).map_err(|_| IngressError::BadHost)?;
        let host = host(text).ok_or(IngressError::BadHost)?;
        let agent_id = self.agent_id(host, hosts).ok_or(IngressError::AgentNotFound)?;
        Ok(Target { agent_id, authority: authority.clone() })
    }

    fn agent_id(&self, host: &str, hosts: &Hosts) -> Option<AgentId> {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let own = hosts.exactly(&host).cloned();
        own.or_else(|| self.child(&host)).or_else(|| hosts.below(&host).cloned())
    }

    /// The agent whose id stands before a domain.
    fn child(&self, host: &str) -> Option<AgentId> {
        if self.0.iter().any(|domain| domain == host) {
            return None;
        }
        let domains = self.0.iter();
        let labels = domains.filter_map(|domain| host.strip_suffix(domain.as_str())?.strip_suffix('.'));
        labels.filter_map(|label| AgentId::parse(label).ok()).next()
    }
}

/// Whether a request is for the host `name`, in lower case, as far as it is for one.
pub(crate) fn is_for(head: &Head, name: &str) -> bool {
    let text = authority(head).and_then(|authority| std::str::from_utf8(authority).ok());
    text.and_then(host).is_none_or(|host| host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case(name))
}

/// The authority that counts (RFC 9112, section 3.2; RFC 9113, section 8.3.1), or `None` if the request has none or
/// contradicts itself.
fn authority(head: &Head) -> Option<&Bytes> {
    let in_field = host_field(&head.fields)?;
    let is_h2 = head.version == HttpVersion::HttpVersion2;
    match (&head.target.authority, in_field) {
        (Some(in_target), Some(in_field)) if is_h2 => {
            in_target.eq_ignore_ascii_case(in_field).then_some(in_target)
        }
        // The target wins, but the field must make sense even so.
        (Some(in_target), Some(in_field)) => host(std::str::from_utf8(in_field).ok()?).map(|_| in_target),
        (Some(in_target), None) => is_h2.then_some(in_target),
        (None, in_field) => in_field,
    }
}

/// `None` for two fields, `Some(None)` for no field.
fn host_field(fields: &Fields) -> Option<Option<&Bytes>> {
    let mut values = fields.all("host");
    let first = values.next();
    values.next().is_none().then_some(first)
}

/// The host of `host [":" port]` if both are well-formed (RFC 3986, section 3.2, without user information).
fn host(authority: &str) -> Option<&str> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(address);
    }
    let host = match authority.split_once(':') {
        Some((host, port)) => is_port(port).then_some(host)?,
        None => authority,
    };
    let labels = host.strip_suffix('.').unwrap_or(host);
    labels.split('.').all(is_label).then_some(host)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether a text could be a label of somebody's host name, if not of an agent's.
fn is_label(label: &str) -> bool {
    let mut rest = label;
    while let Some((before, after)) = rest.split_once('%') {
        if !before.chars().all(is_name_char) || !after.get(..2).is_some_and(is_encoded_name_char) {
            return false;
        }
        rest = &after[2..];
    }
    !label.is_empty() && rest.chars().all(is_name_char)
}

fn is_name_char(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '-' | '_' | '~')
}

/// Whether two hex digits encode an octet that may be part of a name.
fn is_encoded_name_char(digits: &str) -> bool {
    let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let octet = u8::from_str_radix(digits, 16).ok().filter(|_| hex);
    octet.is_some_and(|octet| !octet.is_ascii() || is_name_char(char::from(octet)))
}

#[cfg(test)]
mod tests;
