use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use agent::Transport;
use anyhow::Context as _;
use tokio::time::sleep;

use super::{CLIENTS, SMALL, counters::Counters, trace::Trace};
use crate::{
    load::{Done, Load, Request, Until},
    real::RealTunnel,
    stats::median,
};

/// How long both ends get to fall asleep before they are looked at.
const SETTLE: Duration = Duration::from_millis(10);
/// A load before the first that counts, so that memory and connections are there.
const WARM_UP: Duration = Duration::from_millis(300);

/// One build of the real programs over one transport, and what was found.
pub(super) struct Subject {
    pub(super) build: &'static str,
    pub(super) transport: Transport,
    /// The gateway's, then the agent's.
    pub(super) ends: [End; 2],
    /// Why its system calls are unknown.
    pub(super) untraced: Option<String>,
    tunnel: RealTunnel,
}

/// What one end spent for a request.
#[derive(Debug, Default)]
pub(super) struct End {
    rounds: Vec<Spent>,
    /// System calls by name.
    pub(super) calls: BTreeMap<String, f64>,
}

/// What was spent for a request in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    pub(super) cpu: f64,
    pub(super) in_kernel: f64,
    pub(super) voluntary: f64,
    pub(super) involuntary: f64,
}

impl Subject {
    pub(super) async fn start(
        build: &'static str,
        programs: &Path,
        transport: Transport,
        upstream: SocketAddr,
    ) -> anyhow::Result<Self> {
        let tunnel = RealTunnel::start(programs, transport, &[], upstream).await?;
        let mut subject = Self { build, transport, ends: Default::default(), untraced: None, tunnel };
        subject.load().await?.run(Until::Elapsed(WARM_UP)).await?;
        Ok(subject)
    }

    /// Measures what it spends during one load.
    pub(super) async fn watch(&mut self, duration: Duration) -> anyhow::Result<()> {
        let pids = self.tunnel.pids();
        let mut load = self.load().await?;
        sleep(SETTLE).await;
        let before = [Counters::of(pids[0])?, Counters::of(pids[1])?];
        let done = self.run(&mut load, duration).await?;
        sleep(SETTLE).await;
        for (index, end) in self.ends.iter_mut().enumerate() {
            let spent = Counters::of(pids[index])?.since(before[index]);
            end.rounds.push(Spent::each(spent, done.latencies.len()));
        }
        Ok(())
    }

    /// Counts its system calls during one load, if that is possible here.
    pub(super) async fn trace(&mut self, duration: Duration) -> anyhow::Result<()> {
        let mut load = self.load().await?;
        let [gateway, agent] = self.tunnel.pids();
        let traces = match Trace::begin(gateway).and_then(|gateway| Ok([gateway, Trace::begin(agent)?])) {
            Ok(traces) => traces,
            Err(error) => {
                self.untraced = Some(format!("{error:#}"));
                return Ok(());
            }
        };
        let done = self.run(&mut load, duration).await?;
        for (end, trace) in self.ends.iter_mut().zip(traces) {
            let requests = done.latencies.len() as f64;
            end.calls =
                trace.end()?.into_iter().map(|(name, count)| (name, count as f64 / requests)).collect();
        }
        Ok(())
    }

    async fn load(&mut self) -> anyhow::Result<Load> {
        let request = Request::get(&self.tunnel.host(), SMALL);
        let load = Load::prepare(self.tunnel.http(), request, CLIENTS).await;
        self.tunnel.check()?;
        load.with_context(|| format!("{} over {}", self.build, self.transport.label()))
    }

    /// A child that has died is the cause of whatever its clients saw.
    async fn run(&mut self, load: &mut Load, duration: Duration) -> anyhow::Result<Done> {
        let done = load.run(Until::Elapsed(duration)).await;
        self.tunnel.check()?;
        done.with_context(|| format!("{} over {}", self.build, self.transport.label()))
    }
}

impl End {
    /// The median over the rounds.
    pub(super) fn median(&self, of: fn(&Spent) -> f64) -> f64 {
        median(&self.rounds.iter().map(of).collect::<Vec<_>>())
    }
}

impl Spent {
    fn each(spent: Counters, requests: usize) -> Self {
        let requests = requests as f64;
        Self {
            cpu: spent.cpu / requests,
            in_kernel: spent.in_kernel() / requests,
            voluntary: spent.voluntary as f64 / requests,
            involuntary: spent.involuntary as f64 / requests,
        }
    }
}
