use std::path::Path;

use super::{
    Plan,
    resting::Resting,
    returning::{Returning, STEP},
};
use crate::{
    Ending,
    curves::{Curve, Curves, Scale},
    peers::machine::Machine,
    stats::rounded,
    suite::{self, Page},
};

/// What each agent may cost, and how they must come back.
const MOST_KIB: f64 = 40.0;
const LATEST: f64 = 5.0;
const STEEPEST: f64 = 2.0;

/// What a run found.
pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) resting: Vec<Resting>,
    pub(super) returning: Vec<Returning>,
}

impl Report {
    pub(super) fn page(&self, machine: Machine, programs: &Path) -> Page {
        let text = format!(
            "## At rest\n\n{} agents, one link each, are connected and left alone for {} s, heartbeats on. Memory is what is \
             resident at the gateway beyond a gateway without agents. Then each is asked, and small requests go to all of \
             them in turns.\n\n{}\n## All at once\n\n{} agents are connected when their gateway ends, by SIGTERM or by \
             SIGKILL, and is started again on the same ports. An attempt is counted where it is made, at the agent. \
             `most/mean` is the fullest second beside the mean from the first attempt to the last.\n\n{}\n",
            self.plan.resting,
            self.plan.rest.as_secs(),
            self.resting_table(),
            self.plan.returning,
            self.returning_table(),
        );
        Page {
            suite: "herd",
            title: "Benchmarks: many agents at rest, and back at once",
            machine,
            subject: suite::described(programs),
            text,
            plots: vec![("attempts", "Attempts to connect per second after the gateway's end", self.plot())],
        }
    }

    fn resting_table(&self) -> String {
        let row = |of: &Resting| {
            let figures = [of.idle, of.asked, of.cpu, of.alone[0], of.among[0], of.alone[1], of.among[1]];
            let figures = figures.map(rounded).into_iter().chain([verdict(of.idle <= MOST_KIB)]);
            [of.transport.label().to_owned(), of.count.to_string()].into_iter().chain(figures).collect()
        };
        let heads = [
            "transport",
            "agents",
            "KiB each, idle",
            "KiB each, once asked",
            "CPU at rest, ms/s",
            "p50, us: one agent",
            "any of all",
            "p99, us: one agent",
            "any of all",
            "idle at most 40 KiB",
        ];
        suite::table(&heads, &self.resting.iter().map(row).collect::<Vec<_>>())
    }

    fn returning_table(&self) -> String {
        let row = |of: &Returning| {
            let steepness = of.most() / of.mean().max(1.0);
            let good = of.back <= LATEST && steepness <= STEEPEST;
            let figures = [of.away, of.back, f64::from(of.total()), of.mean(), of.most(), steepness];
            let figures = figures.map(rounded).into_iter().chain([verdict(good)]);
            std::iter::once(name(of)).chain(figures).collect()
        };
        let heads = [
            "gateway",
            "away, s",
            "all back after, s",
            "attempts",
            "mean per s",
            "most in a second",
            "most/mean",
            "within 5 s and twice the mean",
        ];
        suite::table(&heads, &self.returning.iter().map(row).collect::<Vec<_>>())
    }

    fn plot(&self) -> String {
        let curve = |of: &Returning| {
            let per_second = 1000.0 / STEP as f64;
            let points = of.attempts.iter().enumerate();
            let points =
                points.map(|(step, count)| (step as f64 * STEP as f64 / 1e3, f64::from(*count) * per_second));
            Curve { name: name(of), points: points.collect() }
        };
        Curves {
            title: format!("{} agents: attempts per second", self.plan.returning),
            axis: "seconds since the gateway's end".to_owned(),
            scale: Scale::Linear,
            curves: self.returning.iter().map(curve).collect(),
        }
        .to_string()
    }
}

fn name(of: &Returning) -> String {
    let signal = if of.ending == Ending::Kill { "SIGKILL" } else { "SIGTERM" };
    format!("{}, {signal}", of.transport.label())
}

fn verdict(good: bool) -> String {
    if good { "yes" } else { "**no**" }.to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use agent::Transport;

    use super::*;

    #[test]
    fn what_misses_its_mark_is_marked() {
        let resting = |idle| Resting {
            transport: Transport::Grpc,
            count: 9,
            idle,
            asked: 50.0,
            cpu: 1.0,
            alone: [100.0, 200.0],
            among: [110.0, 220.0],
        };
        let returning = |attempts| Returning {
            transport: Transport::WebSocket,
            ending: Ending::Kill,
            away: 0.5,
            back: 1.0,
            attempts,
        };
        let steep = [vec![100; 10], vec![0; 20], vec![1; 10]].concat();
        let plan = Plan { resting: 9, rest: Duration::from_secs(1), returning: 9 };
        let (resting, returning) =
            (vec![resting(39.0), resting(41.0)], vec![returning(vec![10; 20]), returning(steep)]);
        let report = Report { plan, resting, returning };
        let marked = |table: &str| table.lines().map(|line| line.contains("**no**")).collect::<Vec<_>>();
        assert_eq!(marked(&report.resting_table()), [false, false, false, true]);
        assert_eq!(marked(&report.returning_table()), [false, false, false, true]);
        assert_eq!(report.plot().matches("<polyline").count(), 2);
    }
}
