use std::{path::Path, time::Duration};

use proto::limits;

use super::{
    Findings,
    measure::{CLIENTS, FAR, Plan, SLOW, SMALL},
};
use crate::{
    curves::{Curve, Curves, Scale},
    load::{Done, Flow},
    path::Quality,
    peers::machine::Machine,
    stats::{median, percentile, rounded},
    suite::{self, Page},
};

/// The last part of a download, over which its rate is stated.
const LAST: Duration = Duration::from_secs(1);
/// A line counts as full from this share of its rate on.
const FULL: f64 = 0.9;

const HOW: &str = "\
Clients are beside the gateway and the service beside the agent; between gateway and agent is a proxy inside the bench,
which sends what passes at a rate, delays it, and holds no more than 1.5 times what a round trip carries: bytes on their
way, and a router's queue. It drops nothing, so TCP never slows down for a loss. No kernel module and no rights are
needed.
";

/// What a run found.
pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) findings: Vec<Findings>,
}

impl Report {
    pub(super) fn page(&self, machine: Machine, programs: &Path) -> Page {
        let (far, slow) = (said(FAR), said(SLOW));
        let text = format!(
            "{HOW}\n## {far}\n\n{}\nThe download is one stream over {} s, which begins on an idle link. `filled after` is \
             when it first had {:.0} % of the line.\n\n## {slow}\n\nSmall requests are GETs of {SMALL} bytes by {CLIENTS} \
             clients, for {} s each; the neighbour is one stream.\n\n{}\n{}",
            self.far(),
            self.plan.download.as_secs_f64(),
            FULL * 100.0,
            self.plan.small.as_secs_f64(),
            self.slow(),
            expected(SLOW),
        );
        Page {
            suite: "distance",
            title: "Benchmarks: agent and gateway far apart",
            machine,
            subject: suite::described(programs),
            text,
            plots: vec![("download", "A download over a long line", self.curves().to_string())],
        }
    }

    fn far(&self) -> String {
        let row = |of: &Findings| {
            let rates = of.far.download.rates();
            let filled = filled_after(&of.far.download)
                .map_or("never".to_owned(), |after| format!("{:.1} s", after.as_secs_f64()));
            let [p50, p99] = latencies(&of.far.small);
            vec![
                of.transport.label().to_owned(),
                p50,
                p99,
                rounded(at_end(&of.far.download)),
                rounded(best(&rates)),
                filled,
            ]
        };
        let line = rounded(mib(FAR));
        let heads = [
            "",
            "small GET p50, ms",
            "p99, ms",
            &format!("download at the end, of {line} MiB/s"),
            "at its best",
            "filled after",
        ];
        suite::table(&heads, &self.findings.iter().map(row).collect::<Vec<_>>())
    }

    fn slow(&self) -> String {
        let row = |of: &Findings| {
            let loads = [&of.slow.alone, &of.slow.beside_download, &of.slow.beside_upload];
            let cells = loads.into_iter().flat_map(latencies);
            std::iter::once(of.transport.label().to_owned()).chain(cells).collect()
        };
        let heads =
            ["", "alone: p50, ms", "p99", "beside a download: p50", "p99", "beside an upload: p50", "p99"];
        suite::table(&heads, &self.findings.iter().map(row).collect::<Vec<_>>())
    }

    fn curves(&self) -> Curves {
        let curve = |of: &Findings| {
            let step = of.far.download.step.as_secs_f64();
            let points = of.far.download.rates().into_iter().enumerate();
            let points = points.map(|(index, rate)| ((index as f64 + 1.0) * step, rate)).collect();
            Curve { name: of.transport.label().to_owned(), points }
        };
        Curves {
            title: format!("One download, MiB/s: {}", said(FAR)),
            axis: "seconds since the request".to_owned(),
            scale: Scale::Linear,
            curves: self.findings.iter().map(curve).collect(),
        }
    }
}

/// What two ways of sharing a line would give.
fn expected(quality: Quality) -> String {
    let credit = limits::INITIAL_WINDOW + limits::EXTRA_WINDOW;
    let [full, credit_time] =
        [quality.behind_full_queue(), quality.time_of(credit as usize)].map(|t| t.as_millis());
    format!(
        "Behind a full queue a request takes {full} ms at the least, whatever a tunnel does. The neighbour's credit, {} KiB \
         from its beginning on, takes {credit_time} ms on this line: so long is the row that a request joins if all of it is \
         in buffers below the queues of exchanges, where nothing can overtake it.\n",
        credit >> 10
    )
}

fn said(quality: Quality) -> String {
    let rtt = quality.delay.as_millis() * 2;
    match quality.rate {
        rate @ 1_000_000_000.. => format!("{rtt} ms round trip, {} Gbit/s", rate / 1_000_000_000),
        rate => format!("{rtt} ms round trip, {} Mbit/s", rate / 1_000_000),
    }
}

/// What a line carries per second.
fn mib(quality: Quality) -> f64 {
    quality.rate as f64 / 8.0 / f64::from(1 << 20)
}

fn latencies(done: &Done) -> [String; 2] {
    [0.5, 0.99].map(|share| rounded(percentile(&done.latencies, share).as_secs_f64() * 1e3))
}

fn best(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

/// The median rate over the last part.
fn at_end(flow: &Flow) -> f64 {
    let rates = flow.rates();
    let last = (LAST.as_millis() / flow.step.as_millis()).max(1) as usize;
    median(&rates[rates.len().saturating_sub(last)..])
}

fn filled_after(flow: &Flow) -> Option<Duration> {
    let index = flow.rates().iter().position(|rate| *rate >= FULL * mib(FAR))?;
    Some(flow.step * (index as u32 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_are_said_in_words() {
        assert_eq!(said(FAR), "50 ms round trip, 1 Gbit/s");
        assert_eq!(said(SLOW), "40 ms round trip, 10 Mbit/s");
        assert_eq!(mib(FAR).round(), 119.0);
        assert!(expected(SLOW).contains("256 KiB from its beginning on, takes 209 ms"), "{}", expected(SLOW));
    }

    #[test]
    fn a_line_is_full_once_it_carries_nearly_all() {
        let step = Duration::from_millis(200);
        let mib = |mib: u64| mib << 20;
        let flow = Flow { step, bytes: [0, 5, 10, 23, 22, 22, 22, 22, 1].map(mib).to_vec() };
        assert_eq!(filled_after(&flow), Some(Duration::from_millis(800)));
        assert_eq!(at_end(&flow), 110.0);
        assert_eq!(filled_after(&Flow { step, bytes: vec![0] }), None);
    }
}
