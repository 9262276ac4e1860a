use std::sync::atomic::AtomicU64;

use link::LinkState;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::status::{Source, Status};

type Labels = [(&'static str, String); 1];

/// The OpenMetrics text of this moment. It is made of what the agent knows anyway, so that nothing is counted twice.
pub(super) fn text(source: &Source) -> String {
    let mut registry = Registry::with_prefix("indranet_agent");
    let status = source.status();
    links(&mut registry, &status);
    registry.register("requests_in_flight", "Requests in progress now", {
        let in_progress: usize = status.links.iter().map(|link| link.in_progress).sum();
        let gauge: Gauge = Gauge::default();
        gauge.set(in_progress as i64);
        gauge
    });
    registry.register(
        "requests",
        "Requests that ended, by the class of their status, or aborted",
        counters("outcome", source.requests()),
    );
    registry.register(
        "reconnects",
        "Links that had to be followed by another, by reason",
        counters("reason", source.reconnects().map(|(why, count)| (why.label(), count))),
    );
    registry.register("service_healthy", "Whether the local service can be asked", {
        let gauge: Gauge = Gauge::default();
        gauge.set(status.health.serving.into());
        gauge
    });
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a string does not fail");
    text
}

fn links(registry: &mut Registry, status: &Status) {
    let states = Family::<Labels, Gauge>::default();
    for state in LinkState::ALL {
        let count = status.links.iter().filter(|link| link.state == state.label()).count();
        states.get_or_create_owned(&[("state", state.label().to_owned())]).set(count as i64);
    }
    registry.register("links", "Links to gateways, by state", states);
    let round_trips = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for link in &status.links {
        if let Some(round_trip_ms) = link.round_trip_ms {
            let gauge = round_trips.get_or_create_owned(&[("link", link.number.to_string())]);
            gauge.set(round_trip_ms / 1000.0);
        }
    }
    registry.register(
        "round_trip_seconds",
        "The smallest round trip of the last minute on each link",
        round_trips,
    );
}

fn counters(
    label: &'static str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) -> Family<Labels, Counter> {
    let family = Family::<Labels, Counter>::default();
    for (value, count) in counts {
        family.get_or_create_owned(&[(label, value.to_owned())]).inc_by(count);
    }
    family
}
