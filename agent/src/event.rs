use std::{net::SocketAddr, sync::Arc, time::Duration};

/// What happens in an agent, for a terminal or a log. Never holds a secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// An attempt to reach a gateway begins.
    Connecting {
        /// The address, e.g. `grpc://127.0.0.1:8081`.
        gateway: String,
    },
    /// The gateway accepted the agent.
    Online {
        /// Where the service is reachable now.
        public_urls: Vec<String>,
        /// `grpc` or `ws`.
        transport: &'static str,
        /// The gateway's name for itself.
        gateway_id: String,
        /// The gateway's address.
        gateway: String,
    },
    /// The first or a better round trip was measured.
    RoundTrip(Duration),
    /// The link is gone or could not be made; the next attempt follows after `retry_in`.
    Offline {
        /// One line that says why and, where there is one, the remedy.
        reason: String,
        /// The pause before the next attempt.
        retry_in: Duration,
    },
    /// No new requests are taken; those in progress end.
    Draining {
        /// Requests still in progress.
        in_flight: usize,
    },
    /// A request was answered, or failed.
    Request {
        /// The request's UUID, the same as in the gateway's log.
        id: uuid::Uuid,
        /// HTTP method.
        method: String,
        /// Path without the query, which may hold secrets.
        path: String,
        /// Status given to the client, or `None` if the answer was aborted.
        status: Option<u16>,
        /// From the request's arrival to the end of its answer.
        duration: Duration,
        /// Body bytes of the answer.
        bytes: u64,
        /// What went wrong, with the remedy where there is one.
        error: Option<String>,
        /// The HTTP client as the gateway saw it.
        client: Option<SocketAddr>,
    },
}

/// Receives every [`Event`] of an agent, on the agent's own task: it must not block.
pub type Observer = Arc<dyn Fn(Event) + Send + Sync>;
