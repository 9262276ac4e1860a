use std::time::Duration;

use agent::Transport;
use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use super::cases::Case;
use crate::{
    Metric, Results, Tunnel, Upstream, figures,
    load::{Done, Load, Until},
    tunnel::{TRANSPORTS, TunnelCpu},
};

/// How long both ends get to fall asleep before their CPU time is read. Until then the last tick may be missing.
const SETTLE: Duration = Duration::from_millis(5);
/// How long a child that dies may take from closing its sockets to having an exit status.
const AGONY: Duration = Duration::from_millis(200);

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) rounds: u32,
    /// Time for each case and transport in each round.
    pub(super) duration: Duration,
    /// Bytes moved by each bulk case, all streams together.
    pub(super) bulk: u64,
}

impl Plan {
    pub(super) const FULL: Self = Self { rounds: 5, duration: Duration::from_secs(1), bulk: 64 << 20 };
    pub(super) const QUICK: Self = Self { rounds: 3, duration: Duration::from_millis(150), bulk: 32 << 20 };
}

/// A tunnel with a service behind it, and the thread that all clients share.
pub(super) struct Bench {
    runtime: Runtime,
    tunnel: Tunnel,
    _upstream: Upstream,
}

impl Bench {
    pub(super) fn start() -> anyhow::Result<Self> {
        let upstream = Upstream::start().context("the upstream cannot be started")?;
        let tunnel = Tunnel::start(upstream.addr())?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, tunnel, _upstream: upstream })
    }

    pub(super) fn measure(mut self, cases: &[&Case], plan: Plan) -> anyhow::Result<Results> {
        let mut results = Results::new(&TRANSPORTS.map(Transport::label));
        for round in 0..plan.rounds {
            eprintln!("round {} of {}", round + 1, plan.rounds);
            for case in cases {
                for position in order(round) {
                    let figures = self.figures(case, TRANSPORTS[position], plan)?;
                    results.add(case.name, position, &figures);
                }
            }
        }
        Ok(results)
    }

    /// One case over one transport. A child that has died is the cause of whatever its clients saw.
    fn figures(
        &mut self,
        case: &Case,
        transport: Transport,
        plan: Plan,
    ) -> anyhow::Result<Vec<(Metric, f64)>> {
        let figures = self.runtime.block_on(figures_of(&self.tunnel, case, transport, plan));
        if figures.is_err() {
            self.runtime.block_on(async { tokio::time::sleep(AGONY).await });
        }
        self.tunnel.check()?;
        figures.with_context(|| format!("{} over {}", case.name, transport.label()))
    }
}

/// Transports take turns in going first, since the second one finds warmer caches.
fn order(round: u32) -> [usize; 2] {
    if round.is_multiple_of(2) { [0, 1] } else { [1, 0] }
}

async fn figures_of(
    tunnel: &Tunnel,
    case: &Case,
    transport: Transport,
    plan: Plan,
) -> anyhow::Result<Vec<(Metric, f64)>> {
    let request = case.request(tunnel.host(transport), plan.bulk);
    let load = Load::prepare(tunnel.http(), request, case.concurrency).await?;
    if case.is_bulk() {
        let (done, cpu) = watched(tunnel, load, Until::Once).await?;
        return Ok(figures::of_bulk(&done, plan.bulk, cpu));
    }
    let (done, cpu) = watched(tunnel, load, Until::Elapsed(plan.duration)).await?;
    Ok(figures::of_requests(&done, cpu))
}

/// Runs a load, and says what CPU time the tunnel used for it. Connecting and disconnecting is not part of it.
async fn watched(tunnel: &Tunnel, mut load: Load, until: Until) -> anyhow::Result<(Done, TunnelCpu)> {
    tokio::time::sleep(SETTLE).await;
    let before = tunnel.cpu()?;
    let done = load.run(until).await?;
    tokio::time::sleep(SETTLE).await;
    let after = tunnel.cpu()?;
    let gateway = after.gateway.saturating_sub(before.gateway);
    let agent = after.agent.saturating_sub(before.agent);
    Ok((done, TunnelCpu { gateway, agent }))
}
