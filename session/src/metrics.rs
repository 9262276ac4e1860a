use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// What sessions count. Labels are few and fixed: no agent id, which anyone who holds a `*` token could multiply.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub(crate) sessions: Family<[(&'static str, &'static str); 1], Gauge>,
    pub(crate) rejections: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) violations: Counter,
}

impl Metrics {
    /// Metrics that `registry` encodes. There is a gauge for each of `transports` from the start.
    pub fn register(registry: &mut Registry, transports: &[&'static str]) -> Self {
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
        metrics
    }
}
