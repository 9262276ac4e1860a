//! How many connections there are, and how many there may be.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::gauge::Gauge;
use tracing::warn;

use crate::{metrics::ConnectionMetrics, seldom::Seldom};

/// How many connections a port bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// In all.
    pub(crate) total: usize,
    /// Of one address, or of one /64 network of IPv6; `None` is any.
    pub(crate) per_address: Option<usize>,
}

/// Whose connections only count in all.
pub(crate) type Exempt = dyn Fn(IpAddr) -> bool + Send + Sync;

/// The connections of one port, or of one of several with the same bounds.
pub(crate) struct Census {
    port: &'static str,
    bounds: Bounds,
    exempt: Arc<Exempt>,
    metrics: ConnectionMetrics,
    open: Gauge,
    counts: Arc<Mutex<Counts>>,
    complaints: Seldom,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Census {
    /// Nobody is there yet. Addresses that are `exempt` speak for many clients.
    pub(crate) fn new(
        port: &'static str,
        bounds: Bounds,
        metrics: &ConnectionMetrics,
        exempt: Arc<Exempt>,
    ) -> Arc<Self> {
        let (metrics, open) = (metrics.clone(), metrics.open(port));
        let counts = Arc::default();
        Arc::new(Self { port, bounds, exempt, metrics, open, counts, complaints: Seldom::default() })
    }

    /// The same for a port whose guests are counted only.
    pub(crate) fn unbounded(port: &'static str, metrics: &ConnectionMetrics) -> Arc<Self> {
        Self::new(port, Bounds { total: usize::MAX, per_address: None }, metrics, Arc::new(|_address| true))
    }

    /// Another port for the same guests, who are counted together.
    pub(crate) fn beside(&self, port: &'static str) -> Arc<Self> {
        let (exempt, counts) = (Arc::clone(&self.exempt), Arc::clone(&self.counts));
        let (metrics, open) = (self.metrics.clone(), self.metrics.open(port));
        Arc::new(Self {
            port,
            bounds: self.bounds,
            exempt,
            metrics,
            open,
            counts,
            complaints: Seldom::default(),
        })
    }

    /// Takes in a connection from `address`; `None` if it is one too many.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let key = self.bounds.per_address.map(|most| (network(address), most));
        let key = key.filter(|_key| !(self.exempt)(address));
        let mut counts = self.lock();
        if counts.total >= self.bounds.total {
            drop(counts);
            self.refuse("total");
            return None;
        }
        if let Some((key, most)) = key {
            let from_there = counts.by_address.entry(key).or_default();
            if *from_there >= most {
                drop(counts);
                self.refuse("per_address");
                return None;
            }
            *from_there += 1;
        }
        counts.total += 1;
        self.open.inc();
        Some(Counted { census: Arc::clone(self), key: key.map(|(key, _most)| key) })
    }

    /// A connection was closed at once.
    pub(crate) fn refuse(&self, reason: &'static str) {
        self.metrics.refused(self.port, reason);
        if self.complaints.now() {
            warn!(port = self.port, reason, "too many connections; some are closed at once");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A provider gives every subscriber a /64, so that single addresses of IPv6 bound nobody.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// A connection that counts until this is dropped.
pub(crate) struct Counted {
    census: Arc<Census>,
    key: Option<IpAddr>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.census.open.dec();
        let mut counts = self.census.lock();
        counts.total -= 1;
        let Some(key) = self.key else { return };
        if let Some(count) = counts.by_address.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&key);
            }
        }
    }
}

impl fmt::Debug for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Census")
            .field("port", &self.port)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn census(total: usize, per_address: Option<usize>) -> Arc<Census> {
        let bounds = Bounds { total, per_address };
        Census::new("test", bounds, &ConnectionMetrics::default(), Arc::new(|address| address == PROXY))
    }

    #[test]
    fn so_many_in_all_and_so_many_of_one_address() {
        let census = census(3, Some(1));
        let first = census.enter(HERE).unwrap();
        assert!(census.enter(HERE).is_none());
        let _proxy = [census.enter(PROXY).unwrap(), census.enter(PROXY).unwrap()];
        assert!(census.enter(PROXY).is_none(), "the house is full");
        drop(first);
        assert!(census.enter(HERE).is_some());
        assert!(census.lock().by_address.is_empty());
    }

    #[test]
    fn ports_for_the_same_guests_have_the_same_bounds() {
        let plain = census(2, Some(1));
        let secure = plain.beside("secure");
        let _first = plain.enter(HERE).unwrap();
        assert!(secure.enter(HERE).is_none(), "the same guest");
        let second = secure.enter(PROXY).unwrap();
        assert!(plain.enter(PROXY).is_none(), "the house is full");
        assert_eq!((plain.open.get(), secure.open.get()), (1, 1));
        drop(second);
        assert!(plain.enter(PROXY).is_some());
    }

    #[test]
    fn a_subscribers_network_is_one_address() {
        let census = census(9, Some(1));
        let address = |text: &str| text.parse().unwrap();
        let _first = census.enter(address("2001:db8::1")).unwrap();
        assert!(census.enter(address("2001:db8::2")).is_none());
        assert!(census.enter(address("2001:db8:0:1::1")).is_some());
        let _mapped = census.enter(address("::ffff:192.0.2.1")).unwrap();
        assert!(census.enter(address("192.0.2.1")).is_none());
    }
}
