use std::sync::Arc;

use link::LinkState;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge, gauge::Gauge},
    registry,
};

use crate::Registry;

/// What sessions count. Labels are few and fixed: no agent id, which anyone who holds a `*` token could multiply.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) sessions: Family<[(&'static str, &'static str); 1], Gauge>,
    pub(crate) rejections: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) violations: Counter,
    pub(crate) retries: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    /// Metrics that `registry` encodes. There is a gauge for each of `transports` from the start. What `sessions` are like
    /// is looked at when somebody asks.
    pub fn register(
        registry: &mut registry::Registry,
        transports: &[&'static str],
        sessions: Arc<Registry>,
    ) -> Self {
        let metrics = Self::default();
        for transport in transports {
            metrics.sessions.get_or_create_owned(&[("transport", transport)]).set(0);
        }
        registry.register("sessions", "Agents' sessions that are open now", metrics.sessions.clone());
        registry.register("connect_rejections", "ConnectRequests refused", metrics.rejections.clone());
        registry.register(
            "session_violations",
            "Sessions closed because the agent broke the protocol",
            metrics.violations.clone(),
        );
        registry.register("retries", "Requests sent again, by cause", metrics.retries.clone());
        registry.register_collector(Box::new(Moment { sessions }));
        metrics
    }
}

/// What is counted when somebody asks, and costs nothing until then.
#[derive(Debug)]
struct Moment {
    sessions: Arc<Registry>,
}

impl Collector for Moment {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut counts = LinkState::ALL.map(|state| (state, 0_i64));
        for session in self.sessions.sessions() {
            let state = session.state();
            if let Some((_, count)) = counts.iter_mut().find(|(known, _)| *known == state) {
                *count += 1;
            }
        }
        let gauge = ConstGauge::new(0_i64);
        let mut states = encoder.encode_descriptor(
            "session_states",
            "Agents' sessions by the state of their link",
            None,
            gauge.metric_type(),
        )?;
        for (state, count) in counts {
            let gauge = ConstGauge::new(count);
            gauge.encode(states.encode_family(&[("state", state.label())])?)?;
        }
        let waiting = ConstGauge::new(i64::try_from(self.sessions.waiting()).unwrap_or(i64::MAX));
        let encoder = encoder.encode_descriptor(
            "requests_waiting",
            "Requests that wait for their agent to come back",
            None,
            waiting.metric_type(),
        )?;
        waiting.encode(encoder)
    }
}
