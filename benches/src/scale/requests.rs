use agent::Transport;

use super::{Bench, Curve, OTHER_FILES, SMALL};
use crate::{
    figures::{self, AGENT_US, GATEWAY_US, P50, P99, REQUESTS},
    load::{Load, Request, Until},
    real::RealTunnel,
    tunnel::TunnelCpu,
};

/// What requests cost when so many are in progress at a time, on one agent.
pub(super) struct Requests {
    pub(super) count: usize,
    /// CPU time for a request, us.
    pub(super) gateway: f64,
    pub(super) agent: f64,
    /// Latencies, us.
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) requests_per_second: f64,
}

/// Stops where a process would have too many sockets.
pub(super) async fn measure(
    bench: &Bench,
    transport: Transport,
    counts: &[usize],
) -> anyhow::Result<Curve<Requests>> {
    let limit = counts.iter().max().map_or(1, |most| most + OTHER_FILES).to_string();
    let args = ["--max-concurrent", &limit];
    let mut tunnel = RealTunnel::start(&bench.programs, transport, &args, bench.service.addr()).await?;
    let counts = counts.iter().copied().filter(|count| count + OTHER_FILES <= bench.files);
    let curve = Curve::of(transport, counts, async |count| {
        let point = point(bench, &tunnel, count).await;
        tunnel.check()?;
        point
    });
    Ok(curve.await)
}

async fn point(bench: &Bench, tunnel: &RealTunnel, count: usize) -> anyhow::Result<Requests> {
    let mut load = Load::prepare(tunnel.http(), Request::get(&tunnel.host(), SMALL), count).await?;
    load.run(Until::Elapsed(bench.duration / 4)).await?;
    let before = tunnel.cpu()?;
    let done = load.run(Until::Elapsed(bench.duration)).await?;
    let after = tunnel.cpu()?;
    let cpu = TunnelCpu { gateway: after.gateway - before.gateway, agent: after.agent - before.agent };
    let figures = figures::of_requests(&done, cpu);
    let figure =
        |wanted| figures.iter().find(|(metric, _)| *metric == wanted).map_or(0.0, |(_, value)| *value);
    Ok(Requests {
        count,
        gateway: figure(GATEWAY_US),
        agent: figure(AGENT_US),
        p50: figure(P50),
        p99: figure(P99),
        requests_per_second: figure(REQUESTS),
    })
}
