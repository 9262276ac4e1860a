use std::time::Duration;

use agent::Transport;

use super::{CLIENTS, SMALL};
use crate::{
    Tunnel,
    allocations::Allocations,
    load::{Load, Request, Until},
};

/// What one request asks the allocator for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// The gateway's pieces and bytes, then the agent's.
    pub(super) ends: [Each; 2],
}

/// The share of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Each {
    pub(super) count: f64,
    pub(super) bytes: f64,
}

impl Memory {
    pub(super) async fn measure(
        tunnel: &mut Tunnel,
        transport: Transport,
        duration: Duration,
    ) -> anyhow::Result<Self> {
        let request = Request::get(tunnel.host(transport), SMALL);
        let mut load = Load::prepare(tunnel.http(), request, CLIENTS).await?;
        let before = tunnel.allocations()?;
        let requests = load.run(Until::Elapsed(duration)).await?.latencies.len();
        let after = tunnel.allocations()?;
        let each = |end: usize| Each::of(after[end].since(before[end]), requests);
        Ok(Self { ends: [each(0), each(1)] })
    }
}

impl Each {
    fn of(all: Allocations, requests: usize) -> Self {
        Self { count: all.count as f64 / requests as f64, bytes: all.bytes as f64 / requests as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_equal_shares() {
        let each = Each::of(Allocations { count: 60, bytes: 4096 }, 4);
        assert_eq!(each, Each { count: 15.0, bytes: 1024.0 });
    }
}
