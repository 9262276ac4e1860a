//! Clients ask while everything fails, again and again; in every pause all must be as it was before.
//!
//! A soak has three acts. In the first the gateway is restarted and killed like everything else. From then on it lives, so
//! that what it loses adds up: the second act warms it up, the third must not make it grow.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use agent::Transport;
use cli::output;
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    fault::Fault,
    load::{self, Mix},
    tally::Tally,
    town::{Plan, Town, eventually},
};

/// How long everything may take to be as it was: a held link is found within seconds, an agent may wait before it dials.
const SETTLED: Duration = Duration::from_secs(40);
/// A program gives back every ten seconds what it does not need any more.
const AT_REST: Duration = Duration::from_secs(15);
/// An act of this length shows growth of memory; a shorter one shows only how far warming up has come.
const TELLING: Duration = Duration::from_secs(100);
/// Growth of resident memory that is no leak.
const GROWTH: f64 = 1.05;

/// A gateway, its agents, clients and faults, for as long as you like
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Arguments {
    /// How long things go wrong, in all
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What goes wrong, and when [default: another each time]
    #[arg(long)]
    seed: Option<u64>,
    /// What agents dial with: grpc or ws
    #[arg(long, default_value = "grpc", value_parser = transport)]
    transport: Transport,
    /// Agent ids; each has two processes
    #[arg(long, default_value_t = 3)]
    ids: usize,
    /// Links of each agent
    #[arg(long, default_value_t = 2)]
    links: usize,
    /// End the old gateway before the new one begins, instead of letting both share the ports
    #[arg(long)]
    no_reuse_port: bool,
    /// Where gateway-tunnel and agent-tunnel are [default: where this program is]
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// Requests begun in a second
    #[arg(long, default_value_t = 100)]
    rate: u32,
}

fn transport(label: &str) -> Result<Transport, String> {
    let known = [Transport::Grpc, Transport::WebSocket];
    known.into_iter().find(|known| known.label() == label).ok_or_else(|| "use grpc or ws".to_owned())
}

/// What is true of a town in which nothing happens.
#[derive(Clone, Copy, Debug)]
struct Base {
    gateway: usize,
    /// Of each agent process.
    agent: usize,
}

struct Soak {
    town: Town,
    rng: StdRng,
    base: Base,
    mix: Mix,
    begin: Instant,
    faults: BTreeMap<&'static str, u64>,
    /// Promises that were broken.
    violations: Vec<String>,
}

/// Soaks, and tells whether every promise was kept.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let Arguments { seconds, transport, ids, links, no_reuse_port, rate, .. } = arguments;
    tell(&format!("chaos --seconds {seconds} --seed {seed} --transport {}", transport.label()))?;
    let programs = match arguments.bin_dir {
        Some(dir) => dir,
        None => std::env::current_exe()?.parent().map(PathBuf::from).unwrap_or_default(),
    };
    let plan = Plan { programs, transport, ids, agents_each: 2, links, reuse_port: !no_reuse_port };
    let town = Town::start(plan).await?;
    let mix = Mix { rate, streams: 3, uploads: 3, slow: 1, leavers: 1, browser: false };
    let base = Base { gateway: 0, agent: 0 };
    let mut soak = Soak {
        town,
        rng: StdRng::seed_from_u64(seed),
        base,
        mix,
        begin: Instant::now(),
        faults: BTreeMap::new(),
        violations: Vec::new(),
    };
    soak.measure_base().await?;
    let whole = Duration::from_secs(seconds);
    soak.act("first", whole / 4, true).await?;
    let warm = soak.act("second", whole / 4, false).await?;
    let last = soak.act("third", whole / 2, false).await?;
    soak.grown(warm, last, whole / 2)?;
    soak.told(seed)
}

impl Soak {
    /// What there is before anything went wrong.
    async fn measure_base(&mut self) -> anyhow::Result<()> {
        self.sessions().await.map_err(anyhow::Error::msg)?;
        let agents = self.town.agents.iter().filter_map(|agent| agent.process.as_ref());
        let agents: Vec<usize> = agents.map(|agent| agent.descriptors()).collect::<anyhow::Result<_>>()?;
        let agent = agents.iter().copied().max().unwrap_or_default();
        self.base = Base { gateway: self.descriptors_without_admin().await?, agent };
        tell(&format!(
            "before: {} sessions; descriptors: gateway {}, agents {agents:?}",
            self.town.links(),
            self.base.gateway
        ))
    }

    /// Faults and clients for so long; then peace, and everything is counted. Returns the gateway's resident memory.
    async fn act(&mut self, name: &str, lasts: Duration, gateway_may_go: bool) -> anyhow::Result<u64> {
        let stop = CancellationToken::new();
        let (target, mix) = (self.town.target(), self.mix.clone());
        let clients = tokio::spawn({
            let stop = stop.clone();
            async move { load::run(&target, &mix, stop).await }
        });
        let end = Instant::now() + lasts;
        loop {
            let (calm, fault) = Fault::next(&mut self.rng, gateway_may_go);
            if Instant::now() + calm >= end {
                break;
            }
            sleep(calm).await;
            tell(&format!("{:8.2} s  {fault}", self.begin.elapsed().as_secs_f64()))?;
            *self.faults.entry(fault.name()).or_default() += 1;
            self.befall(fault).await?;
        }
        stop.cancel();
        let tally = clients.await?;
        self.town.network.heal();
        self.settled(name, &tally).await?;
        sleep(AT_REST).await;
        let resident = self.town.gateway.resident()?;
        tell(&format!("{tally}\nact {name}: gateway {:.1} MiB resident", mib(resident)))?;
        Ok(resident)
    }

    async fn befall(&mut self, fault: Fault) -> anyhow::Result<()> {
        let town = &mut self.town;
        let places = town.agents.len();
        match fault {
            Fault::RestartGateway => town.restart_gateway().await?,
            Fault::KillGateway => town.kill_gateway().await?,
            Fault::FreezeGateway(lasts) => {
                town.gateway.freeze();
                sleep(lasts).await;
                town.gateway.thaw();
            }
            Fault::RestartAgent(number) => town.restart_agent(number % places)?,
            Fault::KillAgent(number, lasts) => {
                town.kill_agent(number % places).await;
                sleep(lasts).await;
                town.start_agent(number % places)?;
            }
            Fault::FreezeAgent(number, lasts) => {
                let agent = &town.agents[number % places].process;
                if let Some(agent) = agent {
                    agent.freeze();
                    sleep(lasts).await;
                    agent.thaw();
                }
            }
            Fault::Cut(number) => town.network.cut(number),
            Fault::CutAll => town.network.cut_all(),
            Fault::Hold(number) => town.network.hold(number),
            Fault::Slow(lasts) => {
                town.network.slow(true);
                sleep(lasts).await;
                town.network.slow(false);
            }
            Fault::Strangers(count, lasts) => {
                let link = town.link();
                let mut strangers = Vec::with_capacity(count);
                for _ in 0..count {
                    // One that is refused is no stranger.
                    strangers.extend(timeout(Duration::from_secs(1), TcpStream::connect(link)).await);
                }
                sleep(lasts).await;
            }
        }
        Ok(())
    }

    /// Everything that must hold once nothing happens any more.
    async fn settled(&mut self, name: &str, tally: &Tally) -> anyhow::Result<()> {
        let mut found = Vec::new();
        if tally.asked != tally.known() {
            found.push(format!("{} requests, {} outcomes", tally.asked, tally.known()));
        }
        found.extend(tally.told().iter().map(|failure| {
            format!(
                "{} {} ({:.2} s to {:.2} s): {}",
                failure.kind, failure.id, failure.begun, failure.ended, failure.outcome
            )
        }));
        let others = tally.broken() - tally.told().len() as u64;
        if others > 0 {
            found.push(format!("{others} more requests with a wrong body or without an outcome"));
        }
        if let Err(error) = self.town.all_left().await {
            found.push(format!("{error:#}"));
        }
        found.extend(self.sessions().await.err());
        found.extend(self.in_flight().await.err());
        found.extend(self.descriptors().await.err());
        found.extend(self.town.panics());
        self.violations.extend(found.into_iter().map(|what| format!("act {name}: {what}")));
        Ok(())
    }

    async fn sessions(&self) -> Result<(), String> {
        let wanted = self.town.links();
        eventually("sessions are links of live agents", SETTLED, async || {
            let sessions = self.town.gauge("indranet_sessions").await?;
            Ok(if sessions == wanted { Ok(()) } else { Err(format!("{sessions} instead of {wanted}")) })
        })
        .await
    }

    async fn in_flight(&self) -> Result<(), String> {
        eventually("nothing is in flight", SETTLED, async || {
            let requests = self.town.gauge("indranet_requests_in_flight").await?;
            Ok(if requests == 0 { Ok(()) } else { Err(format!("{requests} requests")) })
        })
        .await
    }

    async fn descriptors(&self) -> Result<(), String> {
        let Base { gateway, agent } = self.base;
        eventually("descriptors are back at their base", SETTLED, async || {
            let now = self.descriptors_without_admin().await?;
            if now > gateway {
                return Ok(Err(format!("gateway: {now} instead of {gateway}")));
            }
            for process in self.town.agents.iter().filter_map(|place| place.process.as_ref()) {
                let now = process.descriptors()?;
                if now > agent {
                    return Ok(Err(format!("{}: {now} instead of {agent}", process.name)));
                }
            }
            Ok(Ok(()))
        })
        .await
    }

    /// Connections to the admin port are closed by then.
    async fn descriptors_without_admin(&self) -> anyhow::Result<usize> {
        sleep(Duration::from_millis(100)).await;
        self.town.gateway.descriptors()
    }

    fn grown(&mut self, warm: u64, last: u64, act: Duration) -> anyhow::Result<()> {
        let growth = last as f64 / warm as f64;
        tell(&format!(
            "resident memory of the gateway: {:.1} MiB after warming up, {:.1} MiB at the end: {:+.1} %",
            mib(warm),
            mib(last),
            (growth - 1.0) * 100.0
        ))?;
        if act >= TELLING && growth > GROWTH {
            self.violations.push(format!("resident memory grew by {:.1} %", (growth - 1.0) * 100.0));
        }
        Ok(())
    }

    fn told(self, seed: u64) -> anyhow::Result<bool> {
        let faults: Vec<String> =
            self.faults.iter().map(|(name, count)| format!("{name}: {count}")).collect();
        tell(&faults.join(", "))?;
        for violation in &self.violations {
            tell(&format!("VIOLATION {violation}"))?;
        }
        tell(&format!("seed {seed}: {} violations", self.violations.len()))?;
        let kept = self.violations.is_empty();
        if !kept {
            tell(&format!("the logs of all processes are in {}", self.town.keep_logs().display()))?;
        }
        Ok(kept)
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn tell(text: &str) -> anyhow::Result<()> {
    Ok(output::line(text)?)
}
