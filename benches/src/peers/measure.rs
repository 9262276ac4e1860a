use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tempfile::TempDir;

use super::{
    cases::{self, Case, Kind},
    contenders::{Contender, Site, nginx},
    ledger::Ledger,
    life, loads,
    programs::Programs,
    running::{Running, Setup},
};
use crate::{Child, Metric, Upstream};

/// Rounds of what varies little, and takes its time: whole lives of processes.
const LIVES: u32 = 3;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) rounds: u32,
    /// Time for each load in each round.
    pub(super) duration: Duration,
    /// How many idle agents join a server.
    pub(super) agents: u32,
}

impl Plan {
    pub(super) const FULL: Self = Self { rounds: 5, duration: Duration::from_millis(800), agents: 200 };
    pub(super) const QUICK: Self = Self { rounds: 2, duration: Duration::from_millis(250), agents: 40 };
}

/// What a run brought to light.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) ledger: Ledger,
    pub(super) troubles: Vec<Trouble>,
}

/// Why a contender has no figures, or fewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) contender: &'static str,
    pub(super) case: &'static str,
    pub(super) what: String,
}

/// Everything that is needed to measure.
pub(super) struct Bench<'a> {
    pub(super) plan: Plan,
    pub(super) programs: &'a Programs,
    pub(super) contenders: &'a [&'static Contender],
    findings: Findings,
    scratch: TempDir,
    sites: u32,
    begun: Instant,
}

/// A service, as a process or as a thread, which ends when it is dropped.
struct Service {
    addr: SocketAddr,
    _process: Option<Child>,
    _thread: Option<Upstream>,
}

/// The contenders that still take part, each behind the same service.
type Field = Vec<(&'static Contender, Running)>;

impl<'a> Bench<'a> {
    pub(super) fn new(
        plan: Plan,
        programs: &'a Programs,
        contenders: &'a [&'static Contender],
    ) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir().context("there is no place for files")?;
        Ok(Self {
            plan,
            programs,
            contenders,
            findings: Findings::default(),
            scratch,
            sites: 0,
            begun: Instant::now(),
        })
    }

    /// Loads with one service, loads with the other, then lives: contenders that rest do not disturb one that works,
    /// but there is no need to have more of them than that.
    pub(super) async fn measure(mut self, cases: &[Case]) -> anyhow::Result<Findings> {
        let (lives, loads): (Vec<Case>, Vec<Case>) = cases.iter().partition(|case| case.is_life());
        let (uploads, others): (Vec<Case>, Vec<Case>) = loads.into_iter().partition(Case::uploads);
        let files = self.files()?;
        self.loads(&others, &files).await?;
        self.loads(&uploads, &sink()?).await?;
        for case in &lives {
            self.lives(case, &files).await?;
        }
        Ok(self.findings)
    }

    async fn loads(&mut self, cases: &[Case], service: &Service) -> anyhow::Result<()> {
        if cases.is_empty() {
            return Ok(());
        }
        let mut field = self.field(service).await?;
        for case in cases {
            for round in 0..self.plan.rounds {
                self.announce(case, round, self.plan.rounds);
                turn(&mut field, round);
                for (contender, running) in &mut field {
                    if self.has_failed(contender, case) {
                        continue;
                    }
                    let figures = loads::figures(case, running, self.plan).await;
                    // A process that has died is the cause of whatever its clients saw.
                    let figures = running.check().map_err(Into::into).and(figures);
                    self.record(case, contender, round, figures);
                }
            }
        }
        Ok(())
    }

    async fn lives(&mut self, case: &Case, service: &Service) -> anyhow::Result<()> {
        let rounds = if matches!(case.kind, Kind::Herd) { 1 } else { self.plan.rounds.min(LIVES) };
        for round in 0..rounds {
            self.announce(case, round, rounds);
            for contender in self.contenders {
                if !self.has_failed(contender, case) {
                    let setup = self.setup(contender, service)?;
                    let figures = life::figures(case, setup, self.plan).await;
                    self.record(case, contender, round, figures);
                }
            }
        }
        Ok(())
    }

    async fn field(&mut self, service: &Service) -> anyhow::Result<Field> {
        let mut field = Vec::new();
        for contender in self.contenders {
            match Running::start(self.setup(contender, service)?).await {
                Ok(running) => field.push((*contender, running)),
                Err(error) => self.trouble(contender, "start", &error),
            }
        }
        Ok(field)
    }

    fn setup(&mut self, contender: &Contender, service: &Service) -> anyhow::Result<Setup> {
        let dir = self.dir()?;
        let site = Site { upstream: service.addr, programs: self.programs, dir: &dir };
        (contender.setup)(&site).with_context(|| format!("{} cannot be set up", contender.name))
    }

    /// nginx, if it is here; so every contender is measured with a service that is not ours.
    fn files(&mut self) -> anyhow::Result<Service> {
        if self.programs.path("nginx").is_err() {
            return sink();
        }
        let dir = self.dir()?;
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let site = Site { upstream: nowhere, programs: self.programs, dir: &dir };
        let (addr, launch) = nginx::service(&site, &cases::lengths())?;
        Ok(Service { addr, _process: Some(launch.start()?), _thread: None })
    }

    fn dir(&mut self) -> anyhow::Result<PathBuf> {
        self.sites += 1;
        let dir = self.scratch.path().join(self.sites.to_string());
        fs::create_dir(&dir)?;
        Ok(dir)
    }

    fn announce(&self, case: &Case, round: u32, rounds: u32) {
        let elapsed = self.begun.elapsed().as_secs();
        eprintln!("{elapsed:4} s  {}, round {} of {rounds}", case.key, round + 1);
    }

    fn record(
        &mut self,
        case: &Case,
        contender: &Contender,
        round: u32,
        figures: anyhow::Result<Vec<(Metric, f64)>>,
    ) {
        match figures {
            Ok(figures) => self.findings.ledger.add(case, contender.name, round, &figures),
            Err(error) => self.trouble(contender, case.key, &error),
        }
    }

    fn trouble(&mut self, contender: &Contender, case: &'static str, error: &anyhow::Error) {
        let trouble = Trouble { contender: contender.name, case, what: told(error) };
        eprintln!("{}: {case}: {}", trouble.contender, trouble.what);
        self.findings.troubles.push(trouble);
    }

    /// Whoever failed once is not asked again.
    fn has_failed(&self, contender: &Contender, case: &Case) -> bool {
        let same = |trouble: &Trouble| trouble.contender == contender.name && trouble.case == case.key;
        self.findings.troubles.iter().any(same)
    }
}

/// A service of our own, which takes bodies and drops them.
fn sink() -> anyhow::Result<Service> {
    let upstream = Upstream::start().context("the service cannot be started")?;
    Ok(Service { addr: upstream.addr(), _process: None, _thread: Some(upstream) })
}

/// On one line, as tables need it.
fn told(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" / ")
}

/// Another one goes first in each round, since the second one of two finds warmer caches.
fn turn(field: &mut Field, round: u32) {
    if round > 0 && !field.is_empty() {
        field.rotate_left(1);
    }
}
