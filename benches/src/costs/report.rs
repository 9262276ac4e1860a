use std::{collections::BTreeMap, path::Path};

use agent::Transport;

use super::{Arguments, CLIENTS, Plan, SMALL, memory::Memory, subject::Subject};
use crate::{
    peers::machine::Machine,
    stats::rounded,
    suite::{self, Page},
};

/// The two ends, in the order of every pair.
const ENDS: [&str; 2] = ["gateway", "agent"];
/// Calls that less than this of all requests make are summed up.
const RARE: f64 = 0.01;

/// What a run found.
pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) subjects: Vec<Subject>,
    pub(super) memory: Vec<(Transport, Memory)>,
}

impl Report {
    pub(super) fn page(&self, machine: Machine, programs: &Path, arguments: &Arguments) -> Page {
        let now = suite::described(programs);
        let before = arguments.before.as_deref().map(|dir| format!("; before: {}", suite::described(dir)));
        let Plan { rounds, duration } = self.plan;
        let text = format!(
            "{CLIENTS} clients that keep their connections ask for {SMALL} bytes again and again; all figures are for one \
             request. Clients and service have the same cores.\n\n## CPU time and context switches\n\nMedians of \
             {rounds} rounds of {} s in which all took turns. The kernel's share is sampled by its clock.\n\n{}\n## \
             System calls\n\n{}\n## Memory\n\n{}",
            duration.as_secs_f64(),
            self.spent(),
            self.calls(),
            self.allocations(),
        );
        Page {
            suite: "costs",
            title: "Benchmarks: what one request costs",
            machine,
            subject: now + &before.unwrap_or_default(),
            text,
            plots: Vec::new(),
        }
    }

    fn spent(&self) -> String {
        let heads = ["", "CPU, us", "in the kernel, us", "voluntary switches", "involuntary switches"];
        let row = |subject: &Subject, end: usize| {
            let of = &subject.ends[end];
            let median = [of.median(|s| s.cpu), of.median(|s| s.in_kernel), of.median(|s| s.voluntary)];
            let name = format!("{}, {}", name(subject), ENDS[end]);
            let cells =
                median.into_iter().map(rounded).chain([format!("{:.3}", of.median(|s| s.involuntary))]);
            std::iter::once(name).chain(cells).collect()
        };
        let rows: Vec<_> =
            self.subjects.iter().flat_map(|subject| [row(subject, 0), row(subject, 1)]).collect();
        suite::table(&heads, &rows)
    }

    fn calls(&self) -> String {
        if let Some(reason) = self.subjects.iter().find_map(|subject| subject.untraced.as_ref()) {
            return format!("Not counted: {reason}.\n");
        }
        let columns: Vec<(String, &BTreeMap<String, f64>)> = self.subjects.iter().flat_map(columns).collect();
        let all = |name: &str| columns.iter().map(|(_, calls)| calls.get(name).unwrap_or(&0.0)).sum::<f64>();
        let mut names: Vec<&String> = columns.iter().flat_map(|(_, calls)| calls.keys()).collect();
        names.sort_unstable_by(|one, other| all(other).total_cmp(&all(one)).then(one.cmp(other)));
        names.dedup();
        let (usual, rare): (Vec<&String>, Vec<&String>) =
            names.into_iter().partition(|name| all(name) >= RARE);
        let sum_of = |names: &[&String], calls: &BTreeMap<String, f64>| {
            shown(names.iter().filter_map(|name| calls.get(*name)).sum())
        };
        let row = |head: &str, names: &[&String]| {
            let cells = columns.iter().map(|(_, calls)| sum_of(names, calls));
            std::iter::once(head.to_owned()).chain(cells).collect::<Vec<_>>()
        };
        let mut rows: Vec<_> = usual.iter().map(|name| row(&format!("`{name}`"), &[name])).collect();
        rows.push(row("all others", &rare));
        rows.push(row("**all**", &[&usual[..], &rare[..]].concat()));
        let heads: Vec<String> =
            std::iter::once(String::new()).chain(columns.iter().map(|(head, _)| head.clone())).collect();
        format!(
            "Counted by `strace -f -c`, which slows both ends down: more requests share a call than without it, most of \
             all the calls that wait.\n\n{}",
            suite::table(&heads, &rows)
        )
    }

    fn allocations(&self) -> String {
        let row = |(transport, memory): &(Transport, Memory)| {
            let both = memory.ends.map(|end| end.count).iter().sum();
            let ends = memory.ends.iter().flat_map(|end| [rounded(end.count), rounded(end.bytes)]);
            std::iter::once(transport.label().to_owned()).chain(ends).chain([rounded(both)]).collect()
        };
        let heads = ["", "gateway: pieces", "bytes", "agent: pieces", "bytes", "both: pieces"];
        format!(
            "Of the bench's own tree. Pieces are calls of the allocator that return memory, made or moved; bytes are \
             those asked for.\n\n{}",
            suite::table(&heads, &self.memory.iter().map(row).collect::<Vec<_>>())
        )
    }
}

/// Nothing, of what was never or hardly ever counted.
fn shown(count: f64) -> String {
    if count < 0.0005 { String::new() } else { format!("{count:.3}") }
}

fn name(subject: &Subject) -> String {
    format!("{}, {}", subject.build, subject.transport.label())
}

fn columns(subject: &Subject) -> [(String, &BTreeMap<String, f64>); 2] {
    [0, 1].map(|end| (format!("{}, {}", name(subject), ENDS[end]), &subject.ends[end].calls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_happened_is_not_shown() {
        assert_eq!([0.0, 0.0004, 1.0679].map(shown), ["", "", "1.068"]);
        assert_eq!(shown([].iter().sum()), "");
    }
}
