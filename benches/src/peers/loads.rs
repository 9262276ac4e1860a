use std::time::Duration;

use anyhow::Context as _;
use tokio::time::sleep;

use super::{
    cases::{self, Case, Kind, SMALL},
    measure::Plan,
    metrics::{BULK_RATIO, P99_ALONE, P99_BULK, P99_SLOW, SLOW_RATIO},
    running::Running,
};
use crate::{
    Metric,
    figures::{self, AGENT_GIB, AGENT_US, BOTH_GIB, BOTH_US, GATEWAY_GIB, GATEWAY_US},
    load::{Done, Load, LoadError, Neighbour, Request, Until},
    stats::percentile,
    tunnel::TunnelCpu,
};

/// How long processes get to fall asleep before their CPU time is read. Until then the last tick may be missing.
const SETTLE: Duration = Duration::from_millis(5);
/// How long a neighbour has to fill every buffer on its way.
const MOVING_IN: Duration = Duration::from_millis(300);
/// Bytes per second.
const SLOW: u32 = 10 << 10;

type Figures = Vec<(Metric, f64)>;

/// Puts one kind of load on a contender.
pub(super) async fn figures(case: &Case, running: &Running, plan: Plan) -> anyhow::Result<Figures> {
    let host = running.host();
    match case.kind {
        Kind::Get { clients, length } => requests(running, Request::get(host, length), clients, plan).await,
        Kind::Connect { clients } => {
            requests(running, Request::get(host, SMALL).with_new_connections(), clients, plan).await
        }
        Kind::Download { streams } => {
            let share = cases::share(streams);
            bulk(running, Request::get(host, share), share, streams, plan).await
        }
        Kind::Upload { streams } => {
            let share = cases::share(streams);
            bulk(running, Request::post(host, share), share, streams, plan).await
        }
        Kind::Beside { clients } => Ok(beside(running, clients, plan).await?),
        Kind::Memory | Kind::Herd | Kind::Recovery => Ok(Vec::new()),
    }
}

async fn requests(
    running: &Running,
    request: Request,
    clients: usize,
    plan: Plan,
) -> anyhow::Result<Figures> {
    let (done, cpu) = watched(running, request, clients, plan).await?;
    Ok(possible(figures::of_requests(&done, cpu), running))
}

async fn bulk(
    running: &Running,
    request: Request,
    share: u64,
    streams: usize,
    plan: Plan,
) -> anyhow::Result<Figures> {
    let (done, cpu) = watched(running, request, streams, plan).await?;
    let bytes = share * done.latencies.len() as u64;
    Ok(possible(figures::of_bulk(&done, bytes, cpu), running))
}

/// Who has no process has no CPU time, and a proxy has no agent's.
fn possible(mut figures: Figures, running: &Running) -> Figures {
    figures.retain(|(metric, _)| match *metric {
        AGENT_US | AGENT_GIB => running.has_agent(),
        GATEWAY_US | GATEWAY_GIB | BOTH_US | BOTH_GIB => running.has_server(),
        _ => true,
    });
    figures
}

/// Runs a load, and says what CPU time the contender's processes used for it. Connecting is not part of it.
async fn watched(
    running: &Running,
    request: Request,
    clients: usize,
    plan: Plan,
) -> anyhow::Result<(Done, TunnelCpu)> {
    let mut load = Load::prepare(running.entry(), request, clients).await?;
    sleep(SETTLE).await;
    let before = running.cpu()?;
    let done = load.run(Until::Elapsed(plan.duration)).await?;
    sleep(SETTLE).await;
    let after = running.cpu()?;
    let gateway = after.gateway.saturating_sub(before.gateway);
    let agent = after.agent.saturating_sub(before.agent);
    Ok((done, TunnelCpu { gateway, agent }))
}

async fn beside(running: &Running, clients: usize, plan: Plan) -> anyhow::Result<Figures> {
    let (entry, host) = (running.entry(), running.host());
    let alone = p99(running, clients, plan).await?;
    let download = Neighbour::busy(entry, cases::download(host));
    let bulk = neighboured(running, clients, plan, download).await.context("beside a download")?;
    let reader = Neighbour::slow(entry, cases::endless(host), SLOW);
    let slow = neighboured(running, clients, plan, reader).await.context("beside a slow reader")?;
    Ok(vec![
        (P99_ALONE, alone),
        (P99_BULK, bulk),
        (P99_SLOW, slow),
        (BULK_RATIO, bulk / alone),
        (SLOW_RATIO, slow / alone),
    ])
}

async fn neighboured(
    running: &Running,
    clients: usize,
    plan: Plan,
    mut neighbour: Neighbour,
) -> Result<f64, LoadError> {
    sleep(MOVING_IN).await;
    let p99 = p99(running, clients, plan).await?;
    neighbour.check().await?;
    Ok(p99)
}

/// Of small GETs, in us.
async fn p99(running: &Running, clients: usize, plan: Plan) -> Result<f64, LoadError> {
    let mut load = Load::prepare(running.entry(), Request::get(running.host(), SMALL), clients).await?;
    let done = load.run(Until::Elapsed(plan.duration)).await?;
    Ok(percentile(&done.latencies, 0.99).as_secs_f64() * 1e6)
}
