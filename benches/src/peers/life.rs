use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::time::sleep;

use super::{
    cases::{Case, Kind},
    measure::Plan,
    metrics::{AGENT_MIB, IDLE_AGENT_KIB, RECOVERY_MS, SERVER_MIB},
    running::{Herd, Running, Setup},
};
use crate::{Child, ChildError, Metric};

/// Between two looks at the memory of a process.
const LOOK: Duration = Duration::from_millis(50);
/// So many looks that find the same make a process settled.
const SAME: u32 = 10;
/// It is measured even if it never settles.
const RESTLESS: Duration = Duration::from_secs(10);
/// Agents that start at a time.
const BATCH: u32 = 20;
/// Agents are told apart by numbers from here: those are ports that the system gives nobody, for whom they are ports.
const FIRST: u32 = 20_000;

type Figures = Vec<(Metric, f64)>;

/// Starts a contender for this alone. No figures come of one that has no such part.
pub(super) async fn figures(case: &Case, setup: Setup, plan: Plan) -> anyhow::Result<Figures> {
    let (tunnel, herd) = (setup.agent.is_some(), setup.herd.clone());
    match case.kind {
        Kind::Memory if setup.server.is_some() => memory(Running::start(setup).await?).await,
        Kind::Herd => match herd {
            Some(herd) => idle_agents(Running::start(setup).await?, &herd, plan.agents).await,
            None => Ok(Vec::new()),
        },
        Kind::Recovery if tunnel => recovery(Running::start(setup).await?).await,
        _ => Ok(Vec::new()),
    }
}

async fn memory(running: Running) -> anyhow::Result<Figures> {
    let metrics = [SERVER_MIB, AGENT_MIB].into_iter();
    let resident = settled(&running).await?;
    let figure = |(metric, bytes): (Metric, Option<u64>)| Some((metric, bytes? as f64 / f64::from(1 << 20)));
    Ok(metrics.zip(resident).filter_map(figure).collect())
}

async fn idle_agents(mut running: Running, herd: &Herd, count: u32) -> anyhow::Result<Figures> {
    let [before, _] = settled(&running).await?;
    let mut agents = Vec::new();
    while agents.len() < count as usize {
        agents.extend(batch(herd, FIRST + agents.len() as u32)?);
    }
    let [after, _] = settled(&running).await?;
    running.check()?;
    agents.iter_mut().try_for_each(Child::check)?;
    let (before, after) = before.zip(after).context("there is no server")?;
    ensure!(after > before, "the server does not grow");
    Ok(vec![(IDLE_AGENT_KIB, (after - before) as f64 / agents.len() as f64 / 1024.0)])
}

/// Each says something once it is connected, which is waited for.
fn batch(herd: &Herd, first: u32) -> Result<Vec<Child>, ChildError> {
    let agent = |number: u32| herd.agent.clone().args([herd.flag.to_owned(), number.to_string()]).start();
    let mut agents: Vec<Child> = (first..first + BATCH).map(agent).collect::<Result<_, _>>()?;
    agents.iter_mut().try_for_each(|agent| agent.line().map(drop))?;
    Ok(agents)
}

async fn recovery(mut running: Running) -> anyhow::Result<Figures> {
    let begun = Instant::now();
    running.replace_server()?;
    running.answers().await.context("after its server was killed and replaced")?;
    Ok(vec![(RECOVERY_MS, begun.elapsed().as_secs_f64() * 1e3)])
}

/// Waits until the memory of both ends stays the same.
async fn settled(running: &Running) -> anyhow::Result<[Option<u64>; 2]> {
    let end = Instant::now() + RESTLESS;
    let mut resident = running.resident()?;
    let mut same = 0;
    while same < SAME && Instant::now() < end {
        sleep(LOOK).await;
        let now = running.resident()?;
        same = if now == resident { same + 1 } else { 0 };
        resident = now;
    }
    Ok(resident)
}
