use std::time::Duration;

use agent::Transport;

use super::{Bench, Curve, SMALL};
use crate::{
    load::{Load, Request, Until},
    real::RealTunnel,
};

/// Clients at a time.
pub(super) const CLIENTS: usize = 2;

/// What bodies of one size cost.
pub(super) struct Bodies {
    /// Bytes of each.
    pub(super) size: u64,
    pub(super) download: Moved,
    pub(super) upload: Moved,
}

/// One direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moved {
    /// CPU time of both ends for a request, us.
    pub(super) each: f64,
    /// MiB per second.
    pub(super) rate: f64,
    /// CPU time of both ends, s per GiB.
    pub(super) cpu: f64,
}

pub(super) async fn measure(
    bench: &Bench,
    transport: Transport,
    sizes: &[u64],
) -> anyhow::Result<Curve<Bodies>> {
    let mut tunnel = RealTunnel::start(&bench.programs, transport, &[], bench.service.addr()).await?;
    let host = tunnel.host();
    let curve = Curve::of(transport, sizes.iter().copied(), async |size| {
        let download = moved(bench, &mut tunnel, Request::get(&host, size), size).await?;
        let upload = moved(bench, &mut tunnel, Request::post(&host, size), size).await?;
        Ok(Bodies { size, download, upload })
    });
    Ok(curve.await)
}

/// Clients are connected by something small: what is large would take too long to be done twice.
async fn moved(bench: &Bench, tunnel: &mut RealTunnel, request: Request, size: u64) -> anyhow::Result<Moved> {
    let mut load = Load::prepare(tunnel.http(), Request::get(&tunnel.host(), SMALL), CLIENTS).await?;
    load.ask_for(request);
    let before = tunnel.cpu()?;
    let done = load.run(Until::Elapsed(bench.duration)).await;
    tunnel.check()?;
    let (done, after) = (done?, tunnel.cpu()?);
    let cpu = after.gateway + after.agent - before.gateway - before.agent;
    Ok(Moved::of(done.latencies.len(), size, cpu, done.elapsed))
}

impl Moved {
    fn of(requests: usize, size: u64, cpu: Duration, elapsed: Duration) -> Self {
        let mib = requests as f64 * size as f64 / f64::from(1 << 20);
        Self {
            each: cpu.as_secs_f64() * 1e6 / requests as f64,
            rate: mib / elapsed.as_secs_f64(),
            cpu: if size == 0 { 0.0 } else { cpu.as_secs_f64() * 1024.0 / mib },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_shared_among_requests_and_bytes() {
        let (cpu, elapsed) = (Duration::from_millis(8), Duration::from_secs(2));
        let moved = Moved::of(4, 1 << 20, cpu, elapsed);
        assert_eq!((moved.each.round(), moved.rate, moved.cpu), (2000.0, 2.0, 2.048));
        assert_eq!(Moved::of(4, 0, cpu, elapsed).cpu, 0.0);
    }
}
