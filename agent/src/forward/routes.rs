use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::{Config, HostField, Route, Upstream, upstream::Service};

/// Which service gets a request.
#[derive(Debug)]
pub(crate) struct Routes {
    /// The longest prefix first.
    below: Vec<(Route, Destination)>,
    default: Destination,
    /// Whether clients may speak TLS with the default one themselves.
    pub(super) passes_through: bool,
}

/// A service, and what it is told.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) service: Arc<Service>,
    /// What it sees as host, unless that is what the client sent.
    pub(super) host: Option<Bytes>,
}

impl Routes {
    /// The services of a configuration. Routes to the same service share its connections.
    pub(crate) fn new(config: &Config) -> Self {
        let mut known: Vec<Destination> = Vec::new();
        let mut destination = |upstream: &Upstream| {
            if let Some(destination) = known.iter().find(|known| known.service.upstream() == upstream) {
                return destination.clone();
            }
            let service = Arc::new(Service::new(upstream.clone(), &config.upstream_tls));
            let host = match &config.host {
                HostField::Preserve => None,
                HostField::Upstream => Some(upstream.host_field().into()),
                HostField::Named(name) => Some(name.clone().into()),
            };
            known.push(Destination { service, host });
            known[known.len() - 1].clone()
        };
        let default = destination(&config.upstream);
        let mut below: Vec<_> =
            config.routes.iter().map(|route| (route.clone(), destination(&route.upstream))).collect();
        below.sort_by_key(|(route, _)| std::cmp::Reverse(route.prefix.len()));
        Self { below, default, passes_through: config.passthrough }
    }

    /// The service for a path and query, and those as it shall see them.
    pub(super) fn pick(&self, path: &Bytes) -> (&Destination, Bytes) {
        let found = self.below.iter().find_map(|(route, destination)| {
            let rest = below(&route.prefix, path)?;
            Some((destination, if route.strip_prefix { rest } else { path.clone() }))
        });
        found.unwrap_or_else(|| (&self.default, path.clone()))
    }
}

/// The path without the prefix, if it is below it.
fn below(prefix: &str, path: &Bytes) -> Option<Bytes> {
    let rest = path.strip_prefix(prefix.as_bytes())?;
    match rest.first() {
        Some(b'/') => Some(path.slice(prefix.len()..)),
        None | Some(b'?') => Some(BytesMut::from_iter(b"/".iter().chain(rest)).freeze()),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_segments_decide() {
        for (prefix, path, rest) in [
            ("/api", "/api", Some("/")),
            ("/api", "/api/", Some("/")),
            ("/api", "/api/a/b?c", Some("/a/b?c")),
            ("/api", "/api?c", Some("/?c")),
            ("/api", "/apis", None),
            ("/api", "/", None),
            ("/api", "/x/api", None),
            ("/api", "/API", None),
            ("", "/", Some("/")),
            ("", "/a", Some("/a")),
            ("", "*", None),
        ] {
            let expected = rest.map(|rest| Bytes::from_static(rest.as_bytes()));
            assert_eq!(below(prefix, &Bytes::from_static(path.as_bytes())), expected, "{prefix} {path}");
        }
    }
}
