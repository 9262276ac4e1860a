use std::path::Path;

use super::{
    OTHER_FILES, Plan, SMALL,
    agents::{self, Agents},
    bodies::{self, Bodies, Moved},
    curve::Curve,
    requests::Requests,
};
use crate::{
    curves::{Curves, Scale},
    peers::machine::Machine,
    stats::rounded,
    suite::{self, Page},
};

/// What a run found, by transport.
pub(super) struct Report {
    pub(super) plan: Plan,
    /// Open files that a process may have.
    pub(super) files: usize,
    pub(super) agents: Vec<Curve<Agents>>,
    pub(super) requests: Vec<Curve<Requests>>,
    pub(super) bodies: Vec<Curve<Bodies>>,
}

impl Report {
    pub(super) fn page(&self, machine: Machine, programs: &Path) -> Page {
        let text = format!(
            "Each point is one load of {} s, so differences below 15 % are noise. Clients and service have the same \
             cores as what is measured.\n\n## Agents\n\nSmall GETs ({SMALL} bytes) by {} clients, each to another of all \
             agents in turns. All agents are in one process. `at rest` is a second without requests.{}\n\n{}\n{}\n## \
             Requests at a time\n\nSmall GETs by as many clients, all to one agent, with `--max-concurrent` raised.{}\n\n\
             {}\n{}\n## Bodies\n\n{} clients at a time; CPU time is that of both ends.\n\n{}\n{}",
            self.plan.duration.as_secs_f64(),
            agents::CLIENTS,
            self.left_out(&self.plan.agents, 2),
            self.agents_table(),
            AGENTS_SHAPE,
            self.left_out(&self.plan.requests, 1),
            self.requests_table(),
            REQUESTS_SHAPE,
            bodies::CLIENTS,
            self.bodies_table(),
            BODIES_SHAPE,
        );
        Page {
            suite: "scale",
            title: "Benchmarks: more and more of everything",
            machine,
            subject: suite::described(programs),
            text,
            plots: self.plots(),
        }
    }

    /// What the limit of open files forbade.
    fn left_out(&self, counts: &[usize], each: usize) -> String {
        let left_out: Vec<String> = counts
            .iter()
            .filter(|count| *count * each + OTHER_FILES > self.files)
            .map(usize::to_string)
            .collect();
        if left_out.is_empty() {
            return String::new();
        }
        format!(
            " A process may have {} open files here, so {} are left out.",
            self.files,
            left_out.join(", ")
        )
    }

    fn agents_table(&self) -> String {
        let row = |of: &Agents| {
            let figures = [of.gateway, of.agents, of.requests_per_second, of.resting, of.memory].map(rounded);
            std::iter::once(of.count.to_string()).chain(figures).collect()
        };
        let heads = [
            "agents",
            "gateway, us",
            "agents, us",
            "requests/s",
            "gateway at rest, ms/s",
            "gateway, MiB resident",
        ];
        tables(&self.agents, &heads, row)
    }

    fn requests_table(&self) -> String {
        let row = |of: &Requests| {
            let figures = [of.gateway, of.agent, of.requests_per_second, of.p50, of.p99].map(rounded);
            std::iter::once(of.count.to_string()).chain(figures).collect()
        };
        let heads = ["at a time", "gateway, us", "agent, us", "requests/s", "p50, us", "p99, us"];
        tables(&self.requests, &heads, row)
    }

    fn bodies_table(&self) -> String {
        let moved = |moved: Moved| [moved.each, moved.rate, moved.cpu].map(rounded);
        let row = |of: &Bodies| {
            let figures = moved(of.download).into_iter().chain(moved(of.upload));
            std::iter::once(in_words(of.size)).chain(figures).collect()
        };
        let heads = ["body", "down: us each", "MiB/s", "s/GiB", "up: us each", "MiB/s", "s/GiB"];
        tables(&self.bodies, &heads, row)
    }

    fn plots(&self) -> Vec<(&'static str, &'static str, String)> {
        let agents = |of: &Agents| (of.count as f64, of.gateway);
        let requests = |of: &Requests| (of.count as f64, of.gateway + of.agent);
        let rate = |of: &Bodies| (of.size as f64, of.download.rate);
        let cpu = |of: &Bodies| (of.size as f64, of.download.cpu);
        // Of small bodies it is requests that cost, not bytes.
        let large = |curve: &Curve<Bodies>| {
            let mut plotted = curve.plotted(cpu);
            plotted.points.retain(|(size, _)| *size >= f64::from(1 << 16));
            plotted
        };
        vec![
            (
                "agents",
                "CPU time against agents",
                plot(
                    "CPU per request, us: the gateway",
                    "agents",
                    self.agents.iter().map(|c| c.plotted(agents)),
                ),
            ),
            (
                "requests",
                "CPU time against requests at a time",
                plot(
                    "CPU per request, us: gateway and agent",
                    "requests at a time",
                    self.requests.iter().map(|c| c.plotted(requests)),
                ),
            ),
            (
                "rate",
                "MiB per second against size",
                plot("Downloads, MiB/s", "bytes of a body", self.bodies.iter().map(|c| c.plotted(rate))),
            ),
            (
                "cpu",
                "CPU time against size",
                plot(
                    "Downloads, CPU s/GiB: gateway and agent",
                    "bytes of a body",
                    self.bodies.iter().map(large),
                ),
            ),
        ]
    }
}

fn plot(title: &str, axis: &str, curves: impl Iterator<Item = crate::curves::Curve>) -> String {
    let (title, axis) = (title.to_owned(), axis.to_owned());
    Curves { title, axis, scale: Scale::Logarithmic, curves: curves.collect() }.to_string()
}

fn tables<P>(curves: &[Curve<P>], heads: &[&str], row: impl Fn(&P) -> Vec<String>) -> String {
    let table = |curve: &Curve<P>| {
        let rows: Vec<_> = curve.points.iter().map(&row).collect();
        let trouble = curve.trouble.as_ref().map(|trouble| format!("\nThe next one failed: {trouble}.\n"));
        let table = suite::table(heads, &rows) + &trouble.unwrap_or_default();
        format!("Over {}:\n\n{table}\n", curve.transport.label())
    };
    curves.iter().map(table).collect()
}

/// A power of two, as people say it.
fn in_words(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        _ if bytes < 1 << 20 => format!("{} KiB", bytes >> 10),
        _ if bytes < 1 << 30 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

const AGENTS_SHAPE: &str = "\
- A request costs more with many agents because 32 of them are then on 32 links, each with a write and a wake-up of its
  own; on one link they share both. Once no link carries two requests at a time, more agents make no difference.
- Memory grows with agents that have been asked something, more than with idle ones.
";

const REQUESTS_SHAPE: &str = "\
- A request costs less the more there are at a time, up to about 100, because those that are there at once share a wake-up
  and a write to the link.
- It costs the agent more behind 128 because no more than 128 idle connections to a service are kept: of more clients than
  that, some make it dial anew each time.
";

const BODIES_SHAPE: &str = "\
- Rates rise with size until a body is so large that the request around it no longer counts.
- CPU time per byte is least where a body fits into the credit that its exchange begins with, 256 KiB. Whether what comes
  on top is frames of credit or bytes that have left the cache has not been measured.
";

#[cfg(test)]
mod tests {
    use agent::Transport;

    use super::*;

    #[test]
    fn sizes_are_said_in_words() {
        assert_eq!(
            [0, 1 << 10, 1 << 18, 1 << 28, 1 << 30].map(in_words),
            ["0 B", "1 KiB", "256 KiB", "256 MiB", "1 GiB"]
        );
    }

    #[test]
    fn what_the_limit_forbids_is_said() {
        let plan = super::super::Arguments::plan;
        let arguments = clap::Parser::try_parse_from(["scale", "--quick"]).unwrap();
        let (agents, requests, bodies) = (Vec::new(), Vec::new(), Vec::new());
        let report = Report { plan: plan(&arguments), files: 210, agents, requests, bodies };
        assert_eq!(
            report.left_out(&[10, 100], 2),
            " A process may have 210 open files here, so 100 are left out."
        );
        assert_eq!(report.left_out(&[10, 100], 1), "");
    }

    #[test]
    fn each_transport_has_its_table() {
        let point = |count| Requests {
            count,
            gateway: 7.0,
            agent: 8.0,
            p50: 100.0,
            p99: 200.0,
            requests_per_second: 1000.0,
        };
        let curve = Curve { transport: Transport::Grpc, points: vec![point(1), point(10)], trouble: None };
        let text = tables(&[curve], &["a", "b"], |of| vec![of.count.to_string(), rounded(of.gateway)]);
        assert_eq!(text, "Over grpc:\n\n| a | b |\n|---|--:|\n| 1 | 7.00 |\n| 10 | 7.00 |\n\n");
    }
}
