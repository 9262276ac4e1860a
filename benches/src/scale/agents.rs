use std::{sync::Arc, time::Duration};

use agent::Transport;
use tokio::time::sleep;

use super::{Bench, Curve, OTHER_FILES, SMALL, herd, role};
use crate::{
    load::{Load, Request, Until},
    process,
    real::{RealGateway, host},
};

/// Clients at a time.
pub(super) const CLIENTS: usize = 32;
/// How long nothing is asked, to see what agents cost by being there.
const REST: Duration = Duration::from_secs(2);
/// How many requests to agents that have not been asked before are made in a second, at the least.
const SLOWEST: f64 = 3_000.0;

/// What requests cost with so many agents, any of which may be asked.
pub(super) struct Agents {
    pub(super) count: usize,
    /// CPU time for a request, us.
    pub(super) gateway: f64,
    pub(super) agents: f64,
    /// CPU time of the gateway in a second without requests, ms.
    pub(super) resting: f64,
    /// Resident memory of the gateway, MiB.
    pub(super) memory: f64,
    pub(super) requests_per_second: f64,
}

/// Stops where a process would have too many sockets: an agent has one to the gateway and one to the service.
pub(super) async fn measure(bench: &Bench, transport: Transport, counts: &[usize]) -> Curve<Agents> {
    let counts = counts.iter().copied().filter(|count| 2 * count + OTHER_FILES <= bench.files);
    Curve::of(transport, counts, async |count| point(bench, transport, count).await).await
}

async fn point(bench: &Bench, transport: Transport, count: usize) -> anyhow::Result<Agents> {
    let mut gateway = RealGateway::start(&bench.programs, transport, &[]).await?;
    let mut herd = role::herd(&gateway, transport, &bench.service, count)?;
    let requests: Arc<[Request]> =
        (0..count).map(|number| Request::get(&host(&herd::id(number)), SMALL)).collect();
    let mut load = Load::prepare_many(gateway.http(), requests, CLIENTS).await?;
    // Each agent is asked at least once, so that it has its connection to the service.
    load.run(Until::Elapsed(Duration::from_secs_f64(count as f64 / SLOWEST).max(bench.duration / 4))).await?;
    sleep(REST / 4).await;
    let resting = gateway.child().cpu_time()?;
    sleep(REST).await;
    let before = [gateway.child().cpu_time()?, herd.cpu_time()?];
    let done = load.run(Until::Elapsed(bench.duration)).await?;
    let after = [gateway.child().cpu_time()?, herd.cpu_time()?];
    let each = |end: usize| (after[end] - before[end]).as_secs_f64() * 1e6 / done.latencies.len() as f64;
    let point = Agents {
        count,
        gateway: each(0),
        agents: each(1),
        resting: (before[0] - resting).as_secs_f64() * 1e3 / REST.as_secs_f64(),
        memory: process::family_resident(gateway.child().pid())? as f64 / f64::from(1 << 20),
        requests_per_second: done.latencies.len() as f64 / done.elapsed.as_secs_f64(),
    };
    herd.check()?;
    gateway.child().check()?;
    Ok(point)
}
