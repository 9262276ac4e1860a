//! What happens to gateways, agents and the network, as planned.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use session::Credentials;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    gateway::Gateway,
    process::{Around, Station},
    scenario::Fault,
    wire::End,
};

/// How long a gateway may take beyond its grace period.
const DRAINING: Duration = Duration::from_secs(5);

/// Everybody but the clients.
pub(crate) struct Storm {
    pub(crate) around: Around,
    pub(crate) stations: Vec<Arc<Station>>,
    gateways: Mutex<Vec<Arc<Gateway>>>,
}

impl Storm {
    pub(crate) fn new(around: Around, stations: Vec<Arc<Station>>) -> Arc<Self> {
        let storm = Arc::new(Self { around, stations, gateways: Mutex::default() });
        storm.begin_gateway();
        for station in &storm.stations {
            station.begin();
        }
        storm
    }

    /// Lets everything happen that is planned, and returns when it has and everybody is there again.
    pub(crate) async fn rage(self: &Arc<Self>) {
        let begun = Instant::now();
        let mut pending = JoinSet::new();
        for (at, fault) in &self.around.scenario.faults {
            sleep_until(begun + *at).await;
            self.around.trace.note(format_args!("{fault:?}"));
            self.happen(*fault, &mut pending);
        }
        while pending.join_next().await.is_some() {}
    }

    fn happen(self: &Arc<Self>, fault: Fault, pending: &mut JoinSet<()>) {
        let storm = Arc::clone(self);
        let network = &self.around.network;
        match fault {
            Fault::Cut => {
                network.any_wire().inspect(|wire| wire.cut());
            }
            Fault::Hold(time) => {
                network.any_wire().inspect(|wire| wire.hold(time));
            }
            Fault::Swallow { agent, gateway } => {
                let Some(wire) = network.any_wire() else { return };
                if agent {
                    wire.swallow(End::Agent);
                }
                if gateway {
                    wire.swallow(End::Gateway);
                }
            }
            Fault::Slow(bytes_per_second, time) => {
                let Some(wire) = network.any_wire() else { return };
                wire.limit(Some(bytes_per_second));
                pending.spawn(async move {
                    sleep(time).await;
                    wire.limit(None);
                });
            }
            Fault::Unreachable { agent, time, silent } => self.stations[agent].host.isolate(time, silent),
            Fault::ClockStep { agent, millis } => self.stations[agent].host.step_clock(millis),
            Fault::Nudge { agent } => self.stations[agent].nudge(),
            Fault::Kill { agent, down } => {
                if !self.stations[agent].kill() {
                    return;
                }
                pending.spawn(async move {
                    sleep(down).await;
                    storm.stations[agent].begin();
                });
            }
            Fault::Vanish { agent, down } => {
                if !self.stations[agent].vanish() {
                    return;
                }
                pending.spawn(async move {
                    sleep(down).await;
                    storm.stations[agent].begin();
                });
            }
            Fault::CutAll => network.cut_all(),
            Fault::Takeover { agent } => {
                pending.spawn(async move { storm.stations[agent].take_over().await });
            }
            Fault::Leave { agent, down } => {
                pending.spawn(async move {
                    if storm.stations[agent].leave().await {
                        sleep(down).await;
                        storm.stations[agent].begin();
                    }
                });
            }
            Fault::Upgrade { yields, rest } => {
                let Some(old) = network.gateway() else { return };
                self.begin_gateway();
                pending.spawn(async move {
                    if yields {
                        old.acceptor.yield_agents();
                        sleep(rest).await;
                    }
                    storm.retire(&old, rest).await;
                });
            }
            Fault::Crash { down } => {
                let Some(old) = network.lead_to(None) else { return };
                old.died.cancel();
                network.cut_gateway(old.number);
                pending.spawn(async move {
                    sleep(down).await;
                    storm.begin_gateway();
                });
            }
        }
    }

    /// Hosts reach every gateway again, and what was lost is found out by those concerned.
    pub(crate) fn calm_down(&self) {
        self.stations.iter().for_each(|station| station.host.heal());
    }

    /// A gateway takes no more agents, waits for those of its clients that are quick, and ends when it has nothing more to
    /// do.
    pub(crate) async fn retire(&self, gateway: &Gateway, rest: Duration) {
        let trace = &self.around.trace;
        trace.note(format_args!("gateway {} tells that it will end", gateway.number));
        gateway.acceptor.announce_end();
        sleep(rest).await;
        trace.note(format_args!("gateway {} drains", gateway.number));
        gateway.acceptor.drain();
        let limit = proto::limits::DRAIN_DEADLINE + DRAINING;
        if timeout(limit, gateway.acceptor.drained()).await.is_err() {
            let left = gateway.registry.len();
            trace.violation(format_args!("gateway {} has {left} sessions after {limit:?}", gateway.number));
        }
        trace.note(format_args!("gateway {} has drained", gateway.number));
    }

    fn begin_gateway(&self) {
        let Around { scenario, network, trace, credential, .. } = &self.around;
        let mut gateways = self.gateways();
        let credentials = Credentials::anyone_with(credential);
        let gateway = Arc::new(Gateway::new(gateways.len(), &scenario.rules, credentials));
        trace.note(format_args!("gateway {} begins", gateway.number));
        gateways.push(Arc::clone(&gateway));
        network.lead_to(Some(gateway));
    }

    /// All gateways that there ever were.
    pub(crate) fn gateways(&self) -> MutexGuard<'_, Vec<Arc<Gateway>>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
