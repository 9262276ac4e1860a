use std::{net::SocketAddr, path::Path as FilePath, time::Duration};

use agent::Transport;
use tokio::time::sleep;

use crate::{
    Child,
    load::{Done, Flow, Load, Neighbour, Request, Until},
    path::{Path, Quality},
    real::{RealGateway, host},
};

/// Between continents, with a line that nobody else uses.
pub(super) const FAR: Quality = Quality { delay: Duration::from_millis(25), rate: 1_000_000_000 };
/// From a home whose line is slow.
pub(super) const SLOW: Quality = Quality { delay: Duration::from_millis(20), rate: 10_000_000 };

/// Clients that make small requests at a time.
pub(super) const CLIENTS: usize = 8;
/// Body bytes of a small response.
pub(super) const SMALL: u64 = 16;
/// Steps in which a download is watched.
const STEP: Duration = Duration::from_millis(200);
/// More than any download here gets to.
const ENDLESS: u64 = 1 << 40;
/// How long a neighbour gets to fill whatever it fills.
const FILLING: Duration = Duration::from_secs(2);
/// How long the line gets to become empty again.
const EMPTYING: Duration = Duration::from_millis(500);

/// How long is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) download: Duration,
    pub(super) small: Duration,
}

/// What was found over the far and fast line.
pub(super) struct Far {
    pub(super) small: Done,
    pub(super) download: Flow,
}

/// What small requests took over the slow line.
pub(super) struct Slow {
    pub(super) alone: Done,
    pub(super) beside_download: Done,
    pub(super) beside_upload: Done,
}

/// A tunnel with a line in its middle.
struct Distant {
    // What is dialled goes last.
    agent: Child,
    _path: Path,
    gateway: RealGateway,
    host: String,
}

pub(super) async fn far(
    programs: &FilePath,
    transport: Transport,
    upstream: SocketAddr,
    plan: Plan,
) -> anyhow::Result<Far> {
    let mut distant = Distant::start(programs, transport, upstream, FAR).await?;
    let small = distant.small(plan.small / 4).await?;
    let steps = plan.download.as_millis() / STEP.as_millis();
    let request = Request::get(&distant.host, ENDLESS);
    let download = Flow::watch(distant.gateway.http(), &request, STEP, steps as u32).await;
    distant.check()?;
    Ok(Far { small, download: download? })
}

pub(super) async fn slow(
    programs: &FilePath,
    transport: Transport,
    upstream: SocketAddr,
    plan: Plan,
) -> anyhow::Result<Slow> {
    let mut distant = Distant::start(programs, transport, upstream, SLOW).await?;
    let alone = distant.small(plan.small).await?;
    let download = Request::get(&distant.host, ENDLESS);
    let beside_download = distant.small_beside(download, plan.small).await?;
    let upload = Request::post(&distant.host, ENDLESS);
    let beside_upload = distant.small_beside(upload, plan.small).await?;
    Ok(Slow { alone, beside_download, beside_upload })
}

impl Distant {
    async fn start(
        programs: &FilePath,
        transport: Transport,
        upstream: SocketAddr,
        quality: Quality,
    ) -> anyhow::Result<Self> {
        let gateway = RealGateway::start(programs, transport, &[]).await?;
        let path = Path::to(gateway.link(), quality)?;
        let agent = gateway.agent(upstream, path.addr())?;
        Ok(Self { agent, _path: path, gateway, host: host("bench") })
    }

    async fn small(&mut self, duration: Duration) -> anyhow::Result<Done> {
        let done = self.run(duration).await;
        self.check()?;
        done
    }

    async fn small_beside(&mut self, bulk: Request, duration: Duration) -> anyhow::Result<Done> {
        let mut neighbour = Neighbour::busy(self.gateway.http(), bulk);
        sleep(FILLING).await;
        let done = self.small(duration).await?;
        neighbour.check().await?;
        drop(neighbour);
        sleep(EMPTYING).await;
        Ok(done)
    }

    async fn run(&self, duration: Duration) -> anyhow::Result<Done> {
        let request = Request::get(&self.host, SMALL);
        let mut load = Load::prepare(self.gateway.http(), request, CLIENTS).await?;
        Ok(load.run(Until::Elapsed(duration)).await?)
    }

    fn check(&mut self) -> anyhow::Result<()> {
        self.gateway.child().check()?;
        Ok(self.agent.check()?)
    }
}
