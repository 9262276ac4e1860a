//! What a load comes to: the figures of all suites.

use crate::{Metric, load::Done, stats::percentile, tunnel::TunnelCpu};

pub(crate) const REQUESTS: Metric = Metric { key: "requests_per_second", title: "requests/s" };
pub(crate) const P50: Metric = Metric { key: "p50_us", title: "p50, us" };
pub(crate) const P99: Metric = Metric { key: "p99_us", title: "p99, us" };
pub(crate) const GATEWAY_US: Metric = Metric { key: "gateway_cpu_us_per_request", title: "gateway" };
pub(crate) const AGENT_US: Metric = Metric { key: "agent_cpu_us_per_request", title: "agent" };
pub(crate) const BOTH_US: Metric = Metric { key: "cpu_us_per_request", title: "both" };
pub(crate) const MIB: Metric = Metric { key: "mib_per_second", title: "MiB/s" };
pub(crate) const GATEWAY_GIB: Metric = Metric { key: "gateway_cpu_s_per_gib", title: "gateway, CPU s/GiB" };
pub(crate) const AGENT_GIB: Metric = Metric { key: "agent_cpu_s_per_gib", title: "agent, CPU s/GiB" };
pub(crate) const BOTH_GIB: Metric = Metric { key: "cpu_s_per_gib", title: "both, CPU s/GiB" };

/// The figures of a case that counts requests.
pub(crate) fn of_requests(done: &Done, cpu: TunnelCpu) -> Vec<(Metric, f64)> {
    let count = done.latencies.len() as f64;
    let micros = |share| percentile(&done.latencies, share).as_secs_f64() * 1e6;
    let [gateway, agent] = [cpu.gateway, cpu.agent].map(|used| used.as_secs_f64() * 1e6 / count);
    vec![
        (REQUESTS, count / done.elapsed.as_secs_f64()),
        (P50, micros(0.5)),
        (P99, micros(0.99)),
        (GATEWAY_US, gateway),
        (AGENT_US, agent),
        (BOTH_US, gateway + agent),
    ]
}

/// The figures of a case that moves `bytes`.
pub(crate) fn of_bulk(done: &Done, bytes: u64, cpu: TunnelCpu) -> Vec<(Metric, f64)> {
    let mib = bytes as f64 / f64::from(1 << 20);
    let [gateway, agent] = [cpu.gateway, cpu.agent].map(|used| used.as_secs_f64() * 1024.0 / mib);
    vec![
        (MIB, mib / done.elapsed.as_secs_f64()),
        (GATEWAY_GIB, gateway),
        (AGENT_GIB, agent),
        (BOTH_GIB, gateway + agent),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CPU: TunnelCpu = TunnelCpu { gateway: Duration::from_millis(2), agent: Duration::from_millis(4) };

    #[test]
    fn cpu_time_is_shared_among_what_was_done() {
        let latencies = vec![Duration::from_micros(50), Duration::from_micros(150)];
        let done = Done { latencies, elapsed: Duration::from_secs(2) };
        let figures: Vec<f64> = of_requests(&done, CPU).into_iter().map(|(_, value)| value.round()).collect();
        assert_eq!(figures, [1.0, 50.0, 150.0, 1000.0, 2000.0, 3000.0]);
        let figures: Vec<f64> =
            of_bulk(&done, 1 << 21, CPU).into_iter().map(|(_, value)| value.round()).collect();
        assert_eq!(figures, [1.0, 1.0, 2.0, 3.0]);
    }
}
