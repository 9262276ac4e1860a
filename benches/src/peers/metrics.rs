//! What is measured beyond the figures that all suites have.

use crate::Metric;

pub(super) const P99_ALONE: Metric = Metric { key: "p99_us_alone", title: "p99 with no neighbour, us" };
pub(super) const P99_BULK: Metric =
    Metric { key: "p99_us_beside_download", title: "p99 beside a download, us" };
pub(super) const P99_SLOW: Metric =
    Metric { key: "p99_us_beside_slow_reader", title: "p99 beside a slow reader, us" };
pub(super) const BULK_RATIO: Metric =
    Metric { key: "beside_download_to_alone", title: "beside a download / with none" };
pub(super) const SLOW_RATIO: Metric =
    Metric { key: "beside_slow_reader_to_alone", title: "beside a slow reader / with none" };
pub(super) const SERVER_MIB: Metric = Metric { key: "server_resident_mib", title: "server, MiB" };
pub(super) const AGENT_MIB: Metric = Metric { key: "agent_resident_mib", title: "agent, MiB" };
pub(super) const IDLE_AGENT_KIB: Metric =
    Metric { key: "server_resident_kib_per_idle_agent", title: "server, KiB for each further agent" };
pub(super) const RECOVERY_MS: Metric = Metric { key: "recovery_ms", title: "time to recover, ms" };
