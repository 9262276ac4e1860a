//! What an agent meets outside of itself. The process that `main` runs lives on a machine; a simulation has a world of its
//! own.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use link::TakenUp;
use proto::{AgentFrame, TunnelRequest};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use crate::connect_request::Binding;
pub use crate::dial::{DialError, Inbound, Outbound};
use crate::{Config, GatewayTls, GatewayUrl, Proxies, dial};

/// A link that is being made.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = Result<Inbound, DialError>> + Send + 'a>>;

/// Told once, before the first frame leaves, what can be said of a connection.
pub type Introduce<'a> = Box<dyn FnOnce(Binding) + Send + 'a>;

/// The way to gateways, the clock and chance.
pub trait World: Send + Sync {
    /// Connects to `url` and lets a transport carry `outbound`, behind a call of `introduce`. Dropping the future, or what it
    /// gives, ends the link.
    fn dial<'a>(&'a self, url: &'a GatewayUrl, introduce: Introduce<'a>, outbound: Outbound) -> Dialling<'a>;

    /// The time of day in milliseconds since the Unix epoch.
    fn unix_millis(&self) -> i64;

    /// Bits that nobody can foresee.
    fn random(&self) -> u128;
}

/// A request that has arrived on a link.
pub struct Arrival {
    /// Of its exchange.
    pub id: Uuid,
    /// Its head. A whole body is there, too; what there is of a longer one is in the exchange.
    pub request: TunnelRequest,
    /// The rest of it, and the way for the answer.
    pub exchange: TakenUp<AgentFrame, Infallible>,
    /// As much of a body as may travel inside a head.
    pub inline: usize,
}

/// Who answers the requests that arrive on a link.
pub trait Serve: Send + Sync {
    /// Begins to answer a request, on a task among `tasks`.
    fn take_on(self: Arc<Self>, arrival: Arrival, tasks: &TaskTracker);
}

/// The machine that this process runs on.
pub(crate) struct Machine {
    proxies: Proxies,
    gateway_tls: GatewayTls,
}

impl Machine {
    pub(crate) fn new(config: &Config) -> Self {
        Self { proxies: config.proxies.clone(), gateway_tls: config.gateway_tls.clone() }
    }
}

impl World for Machine {
    fn dial<'a>(&'a self, url: &'a GatewayUrl, introduce: Introduce<'a>, outbound: Outbound) -> Dialling<'a> {
        Box::pin(dial::dial(url, &self.proxies, &self.gateway_tls, introduce, outbound))
    }

    fn unix_millis(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u128 {
        rand::random()
    }
}

/// A number in 0..1.
pub(crate) fn draw(world: &dyn World) -> f64 {
    const BITS: u32 = f64::MANTISSA_DIGITS;
    (world.random() >> (u128::BITS - BITS)) as f64 / (1_u64 << BITS) as f64
}
