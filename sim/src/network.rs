use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use agent::{
    GatewayUrl, Transport,
    world::{Binding, DialError, Dialling, Introduce, Outbound, World},
};
use futures_util::StreamExt as _;
use proto::limits;
use session::{LinkInfo, Visitor};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    dice::Dice,
    gateway::Gateway,
    trace::Trace,
    wire::{End, Packing, Wire},
};

/// What is between agents and gateways.
pub(crate) struct Network {
    pub(crate) trace: Arc<Trace>,
    latency: Duration,
    state: Mutex<State>,
}

struct State {
    dice: Dice,
    /// Where new connections lead, if anywhere.
    gateway: Option<Arc<Gateway>>,
    wires: Vec<Joined>,
    made: usize,
}

/// A wire, and between whom it is.
#[derive(Clone)]
struct Joined {
    wire: Arc<Wire>,
    process: usize,
    gateway: usize,
}

impl Network {
    pub(crate) fn new(latency: Duration, dice: Dice, trace: Arc<Trace>) -> Arc<Self> {
        let state = State { dice, gateway: None, wires: Vec::new(), made: 0 };
        Arc::new(Self { trace, latency, state: Mutex::new(state) })
    }

    /// Where new connections lead from now on; the gateway that they led to before.
    pub(crate) fn lead_to(&self, gateway: Option<Arc<Gateway>>) -> Option<Arc<Gateway>> {
        std::mem::replace(&mut self.state().gateway, gateway)
    }

    /// Where new connections lead.
    pub(crate) fn gateway(&self) -> Option<Arc<Gateway>> {
        self.state().gateway.clone()
    }

    /// A wire that is in use.
    pub(crate) fn any_wire(&self) -> Option<Arc<Wire>> {
        let mut state = self.state();
        state.wires.retain(|joined| !joined.wire.is_broken());
        // The last ones are those that are most likely in use.
        let first = state.wires.len().saturating_sub(8);
        let wires: Vec<_> = state.wires[first..].iter().map(|joined| Arc::clone(&joined.wire)).collect();
        state.dice.one_of(&wires).cloned()
    }

    /// Cuts every wire of an agent's process.
    pub(crate) fn cut_process(&self, process: usize) {
        self.cut_those(|joined| joined.process == process);
    }

    /// Nothing gets through any more on the wires of an agent's process, and nobody is told.
    pub(crate) fn silence_process(&self, process: usize) {
        let wires = self.state().wires.clone();
        for Joined { wire, .. } in wires.iter().filter(|joined| joined.process == process) {
            wire.swallow(End::Agent);
            wire.swallow(End::Gateway);
        }
    }

    /// Cuts every wire to a gateway.
    pub(crate) fn cut_gateway(&self, gateway: usize) {
        self.cut_those(|joined| joined.gateway == gateway);
    }

    /// Cuts everything.
    pub(crate) fn cut_all(&self) {
        self.cut_those(|_| true);
    }

    fn cut_those(&self, which: impl Fn(&Joined) -> bool) {
        let wires = self.state().wires.clone();
        wires.iter().filter(|joined| which(joined)).for_each(|joined| joined.wire.cut());
    }

    fn connect(
        &self,
        process: usize,
        packing: Packing,
        outbound: Outbound,
    ) -> Result<agent::world::Inbound, DialError> {
        let (gateway, wire, mut dice) = {
            let mut state = self.state();
            let Some(gateway) = state.gateway.clone() else { return Err(refused()) };
            state.made += 1;
            let spread = state.dice.within(50..200) as f64 / 100.0;
            let wire = Wire::new(state.made, packing, self.latency.mul_f64(spread), Arc::clone(&self.trace));
            state.wires.push(Joined { wire: Arc::clone(&wire), process, gateway: gateway.number });
            (gateway, wire, state.dice.fork())
        };
        self.trace.note(format_args!("{wire}: process {process} dialled gateway {}", gateway.number));
        let info = LinkInfo {
            channel: session::Channel::plain(),
            transport: packing.label(),
            peer: None,
            authority: "gw".to_owned(),
            visitor: Visitor::default(),
        };
        Ok(wire.connect(outbound, &mut dice, |inbound| gateway.acceptor.accept(info, inbound).boxed()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused() -> DialError {
    DialError::Connect(io::Error::from(io::ErrorKind::ConnectionRefused))
}

/// The world of one agent's process.
pub(crate) struct Place {
    network: Arc<Network>,
    process: usize,
    host: Arc<Host>,
    dice: Mutex<Dice>,
}

/// The host that an agent runs on, which stays when the agent is begun anew.
#[derive(Default)]
pub(crate) struct Host {
    clock_error: AtomicI64,
    unreachable: Mutex<Option<Unreachable>>,
}

#[derive(Clone, Copy)]
struct Unreachable {
    until: Instant,
    silent: bool,
}

impl Host {
    /// The clock jumps.
    pub(crate) fn step_clock(&self, millis: i64) {
        self.clock_error.fetch_add(millis, Relaxed);
    }

    /// No gateway can be reached for some time; nothing, or a refusal, is the answer.
    pub(crate) fn isolate(&self, time: Duration, silent: bool) {
        let until = Instant::now() + time;
        *self.unreachable.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Unreachable { until, silent });
    }

    /// Every gateway can be reached again.
    pub(crate) fn heal(&self) {
        *self.unreachable.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_unreachable(&self) -> Option<Unreachable> {
        let unreachable = *self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        unreachable.filter(|unreachable| unreachable.until > Instant::now())
    }
}

impl Place {
    pub(crate) fn new(network: Arc<Network>, process: usize, host: Arc<Host>, dice: Dice) -> Self {
        Self { network, process, host, dice: Mutex::new(dice) }
    }

    async fn reach(&self, url: &GatewayUrl, outbound: Outbound) -> Result<agent::world::Inbound, DialError> {
        let given_up = Instant::now() + limits::CONNECT_TIMEOUT;
        sleep(self.network.latency * 2).await;
        match self.host.is_unreachable() {
            Some(Unreachable { silent: true, .. }) => {
                sleep_until(given_up).await;
                Err(DialError::Timeout)
            }
            Some(_) => Err(refused()),
            None => {
                let packing = match url.transport {
                    Transport::Grpc => Packing::Messages,
                    Transport::WebSocket => Packing::Delimited,
                };
                self.network.connect(self.process, packing, outbound)
            }
        }
    }
}

impl World for Place {
    fn dial<'a>(&'a self, url: &'a GatewayUrl, introduce: Introduce<'a>, outbound: Outbound) -> Dialling<'a> {
        introduce(Binding::None);
        Box::pin(self.reach(url, outbound))
    }

    fn unix_millis(&self) -> i64 {
        // Gateways read the system's clock, which all but stands still while virtual minutes pass; so does this one.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis())
            .unwrap_or(i64::MAX)
            .saturating_add(self.host.clock_error.load(Relaxed))
    }

    fn random(&self) -> u128 {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        u128::from(dice.next()) << 64 | u128::from(dice.next())
    }
}
