use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use cli::audit::AuditFile;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, text::encode},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};

use crate::{grpc, tls::Tls};

/// From half a millisecond to a minute and a half.
const DURATION_BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 90.0];

/// Everything a gateway counts, and its text form.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) sessions: session::Metrics,
    pub(crate) requests: Arc<RequestMetrics>,
    pub(crate) connections: ConnectionMetrics,
}

/// What the ports count.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionMetrics {
    open: Family<[(&'static str, &'static str); 1], Gauge>,
    refused: Family<[(&'static str, &'static str); 2], Counter>,
}

/// Until when certificates are good, as it is when somebody asks.
#[derive(Debug)]
struct Expiries(Arc<Tls>);

impl Collector for Expiries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut metric = encoder.encode_descriptor(
            "certificate_expiry_timestamp_seconds",
            "Until when the certificate for a domain is good, in seconds since the Unix epoch",
            None,
            MetricType::Gauge,
        )?;
        for (domain, until) in self.0.expiries() {
            let seconds = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            ConstGauge::new(seconds).encode(metric.encode_family(&[("domain", domain)])?)?;
        }
        Ok(())
    }
}

/// Lines that the audit log could not take.
#[derive(Debug)]
struct AuditLosses(AuditFile);

impl Collector for AuditLosses {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let lost = ConstCounter::new(self.0.lines_lost());
        let encoder = encoder.encode_descriptor(
            "audit_lines_lost",
            "Lines that could not be written to the audit log",
            None,
            lost.metric_type(),
        )?;
        lost.encode(encoder)
    }
}

/// What requests count.
#[derive(Debug)]
pub(crate) struct RequestMetrics {
    in_flight: Gauge,
    outcomes: Family<[(&'static str, &'static str); 1], Counter>,
    completed: Counter,
    duration: Histogram,
    sent: Counter,
    received: Counter,
}

impl Metrics {
    pub(crate) fn new(
        sessions: Arc<session::Registry>,
        tls: Option<Arc<Tls>>,
        audit: Option<AuditFile>,
    ) -> Self {
        let mut registry = Registry::with_prefix("indranet");
        let transports = [grpc::TRANSPORT, ws_bridge::server::TRANSPORT];
        let sessions = session::Metrics::register(&mut registry, &transports, sessions);
        let requests = Arc::new(RequestMetrics::register(&mut registry));
        let connections = ConnectionMetrics::register(&mut registry);
        if let Some(tls) = tls {
            registry.register(
                "client_certificates_refused",
                "TLS handshakes that failed because of the agent's certificate, by reason",
                tls.refusals(),
            );
            registry.register_collector(Box::new(Expiries(tls)));
        }
        if let Some(audit) = audit {
            registry.register_collector(Box::new(AuditLosses(audit)));
        }
        Self { registry, sessions, requests, connections }
    }

    /// The OpenMetrics text, which Prometheus reads.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

impl ConnectionMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("connections", "Connections that are open now, by port", metrics.open.clone());
        registry.register(
            "connections_refused",
            "Connections closed at once, by port and by which bound they were over",
            metrics.refused.clone(),
        );
        metrics
    }

    /// The gauge of one port.
    pub(crate) fn open(&self, port: &'static str) -> Gauge {
        self.open.get_or_create_owned(&[("port", port)])
    }

    /// A connection was closed at once.
    pub(crate) fn refused(&self, port: &'static str, reason: &'static str) {
        self.refused.get_or_create(&[("port", port), ("reason", reason)]).inc();
    }
}

impl RequestMetrics {
    fn register(registry: &mut Registry) -> Self {
        let outcomes = Family::default();
        let metrics = Self {
            in_flight: Gauge::default(),
            // Looked up once: the family locks at every look-up.
            completed: outcomes.get_or_create_owned(&[("outcome", "ok")]),
            outcomes,
            duration: Histogram::new(DURATION_BUCKETS),
            sent: Counter::default(),
            received: Counter::default(),
        };
        registry.register("requests_in_flight", "Requests in progress now", metrics.in_flight.clone());
        registry.register(
            "requests",
            "Requests by outcome: ok, client_cancelled, truncated, or the code of the gateway's own answer",
            metrics.outcomes.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "From the request's head to the end of its response",
            metrics.duration.clone(),
        );
        registry.register("response_body_bytes", "Body bytes sent to clients", metrics.sent.clone());
        registry.register("request_body_bytes", "Body bytes received from clients", metrics.received.clone());
        metrics
    }

    /// Body bytes came from a client.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// Begins to observe one request.
    pub(crate) fn begin(self: &Arc<Self>) -> Observation {
        self.in_flight.inc();
        Observation {
            metrics: Arc::clone(self),
            begun: Instant::now(),
            bytes: 0,
            outcome: Outcome::ClientCancelled,
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The service's response reached its end.
    Ok,
    /// The gateway answered by itself, with this code.
    Error(&'static str),
    /// The response broke off after its head.
    Truncated,
    /// The client went away.
    ClientCancelled,
}

impl Outcome {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error(code) => code,
            Self::Truncated => "truncated",
            Self::ClientCancelled => "client_cancelled",
        }
    }
}

/// One request under observation. What it has not been told when it is dropped, the client has cancelled.
#[derive(Debug)]
pub(crate) struct Observation {
    metrics: Arc<RequestMetrics>,
    begun: Instant,
    bytes: u64,
    outcome: Outcome,
}

impl Observation {
    /// Body bytes went to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// The request ended.
    pub(crate) fn ended(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// How long it has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let metrics = &self.metrics;
        metrics.in_flight.dec();
        metrics.sent.inc_by(self.bytes);
        metrics.duration.observe(self.begun.elapsed().as_secs_f64());
        match self.outcome {
            Outcome::Ok => metrics.completed.inc(),
            outcome => metrics.outcomes.get_or_create(&[("outcome", outcome.label())]).inc(),
        };
    }
}
