use std::{sync::Arc, time::Duration};

use agent::Transport;
use tokio::time::sleep;

use super::Bench;
use crate::{
    load::{Load, Request, Until},
    process,
    real::{RealGateway, host},
    scale::{herd, role},
    stats::percentile,
};

/// Body bytes of a small response.
const SMALL: u64 = 16;
/// Clients at a time: few, since it is not the machine's limit that is looked for.
const CLIENTS: usize = 4;
const LOAD: Duration = Duration::from_secs(4);
/// How many requests to agents that have not been asked before are made in a second, at the least.
const SLOWEST: f64 = 3_000.0;

/// What agents cost the gateway.
pub(super) struct Resting {
    pub(super) transport: Transport,
    pub(super) count: usize,
    /// Resident memory for each agent that was never asked, KiB.
    pub(super) idle: f64,
    /// The same once each was asked, KiB.
    pub(super) asked: f64,
    /// CPU time of the gateway in a second of rest, ms.
    pub(super) cpu: f64,
    /// Latencies of small requests to the only agent there is, and to any of them, us.
    pub(super) alone: [f64; 2],
    pub(super) among: [f64; 2],
}

pub(super) async fn measure(bench: &Bench, transport: Transport) -> anyhow::Result<Resting> {
    let count = bench.plan.resting;
    let alone = latencies(bench, transport).await?;
    let mut gateway = RealGateway::start(&bench.programs, transport, &[]).await?;
    let empty = resident(&mut gateway)?;
    let mut agents = role::herd(&gateway, transport, &bench.service, count)?;
    let before = gateway.child().cpu_time()?;
    sleep(bench.plan.rest).await;
    let cpu = (gateway.child().cpu_time()? - before).as_secs_f64() * 1e3 / bench.plan.rest.as_secs_f64();
    let idle = resident(&mut gateway)?;
    let requests: Arc<[Request]> =
        (0..count).map(|number| Request::get(&host(&herd::id(number)), SMALL)).collect();
    let mut load = Load::prepare_many(gateway.http(), requests, CLIENTS).await?;
    load.run(Until::Elapsed(Duration::from_secs_f64(count as f64 / SLOWEST))).await?;
    let among = measured(&mut load).await?;
    let asked = resident(&mut gateway)?;
    agents.check()?;
    gateway.child().check()?;
    let each = |bytes: u64| bytes.saturating_sub(empty) as f64 / 1024.0 / count as f64;
    Ok(Resting { transport, count, idle: each(idle), asked: each(asked), cpu, alone, among })
}

/// p50 and p99 with one agent.
async fn latencies(bench: &Bench, transport: Transport) -> anyhow::Result<[f64; 2]> {
    let gateway = RealGateway::start(&bench.programs, transport, &[]).await?;
    let _agent = role::herd(&gateway, transport, &bench.service, 1)?;
    let request = Request::get(&host(&herd::id(0)), SMALL);
    measured(&mut Load::prepare(gateway.http(), request, CLIENTS).await?).await
}

async fn measured(load: &mut Load) -> anyhow::Result<[f64; 2]> {
    let done = load.run(Until::Elapsed(LOAD)).await?;
    Ok([0.5, 0.99].map(|share| percentile(&done.latencies, share).as_secs_f64() * 1e6))
}

fn resident(gateway: &mut RealGateway) -> anyhow::Result<u64> {
    Ok(process::family_resident(gateway.child().pid())?)
}
