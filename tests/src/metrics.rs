use std::net::SocketAddr;

use crate::{Request, Wire};

/// What a gateway counted, as its operator reads it.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    pub(crate) async fn read(admin: SocketAddr) -> Self {
        let response = Wire::connect(admin).await.ask(&Request::get("/metrics")).await;
        assert_eq!(response.head.status(), 200);
        Self(String::from_utf8(response.body).unwrap())
    }

    /// Connections to this port that are open.
    pub fn connections(&self, port: &str) -> u64 {
        self.value(&format!("connections{{port=\"{port}\"}}"))
    }

    /// Connections to this port that were one too many.
    pub fn refused(&self, port: &str, reason: &str) -> u64 {
        self.value(&format!("connections_refused_total{{port=\"{port}\",reason=\"{reason}\"}}"))
    }

    /// Requests in progress.
    pub fn in_flight(&self) -> u64 {
        self.value("requests_in_flight")
    }

    /// Body bytes of requests, as read from clients.
    pub fn received(&self) -> u64 {
        self.value("request_body_bytes_total")
    }

    /// Requests that ended in this way.
    pub fn outcome(&self, outcome: &str) -> u64 {
        self.value(&format!("requests_total{{outcome=\"{outcome}\"}}"))
    }

    /// Agents that are connected, over any transport.
    pub fn sessions(&self) -> u64 {
        self.value("sessions{transport=\"grpc\"}") + self.value("sessions{transport=\"ws\"}")
    }

    /// Requests that were sent again for this cause.
    pub fn retries(&self, cause: &str) -> u64 {
        self.value(&format!("retries_total{{cause=\"{cause}\"}}"))
    }

    /// Requests that wait for their agent to come back.
    pub fn waiting(&self) -> u64 {
        self.value("requests_waiting")
    }

    /// Sessions that are in this state.
    pub fn state(&self, state: &str) -> u64 {
        self.value(&format!("session_states{{state=\"{state}\"}}"))
    }

    /// Agents that were refused with this code.
    pub fn rejections(&self, code: &str) -> u64 {
        self.value(&format!("connect_rejections_total{{code=\"{code}\"}}"))
    }

    /// Handshakes that failed because of the agent's certificate.
    pub fn refused_certificates(&self, reason: &str) -> u64 {
        self.value(&format!("client_certificates_refused_total{{reason=\"{reason}\"}}"))
    }

    /// Sessions that were closed for what their agent did.
    pub fn violations(&self) -> u64 {
        self.value("session_violations_total")
    }

    /// Until when the certificate for a domain is good, in seconds since the Unix epoch.
    pub fn expiry(&self, domain: &str) -> u64 {
        self.value(&format!("certificate_expiry_timestamp_seconds{{domain=\"{domain}\"}}"))
    }

    /// The value of one series; what was never counted is zero.
    fn value(&self, series: &str) -> u64 {
        let value = |line: &str| line.strip_prefix("indranet_")?.strip_prefix(series)?.trim().parse().ok();
        self.0.lines().find_map(value).unwrap_or(0)
    }
}
