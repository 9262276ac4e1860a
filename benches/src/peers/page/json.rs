use serde_json::{Value, json};

use super::{Absent, Page};
use crate::peers::{contenders::Contender, machine::Machine, measure::Trouble};

/// All that is known, with the figures of every round.
pub(super) fn of(page: &Page) -> Value {
    let Machine { cores, model, kernel, memory_mib, idle, date, commit } = &page.machine;
    let contenders: Vec<Value> = page.contenders.iter().zip(&page.versions).map(contender).collect();
    json!({
        "bench": "peers",
        "date": date,
        "commit": commit,
        "bin_dir": page.bin_dir,
        "machine": { "cores": cores, "model": model, "kernel": kernel, "memory_mib": memory_mib },
        "idle_before": idle,
        "plan": { "rounds": page.plan.rounds, "seconds": page.plan.duration.as_secs_f64() },
        "contenders": contenders,
        "absent": page.absent.iter().map(absent).collect::<Vec<_>>(),
        "troubles": page.findings.troubles.iter().map(trouble).collect::<Vec<_>>(),
        "cases": page.findings.ledger.json(),
    })
}

fn contender((contender, version): (&&Contender, &Option<String>)) -> Value {
    json!({ "name": contender.name, "what": contender.what, "version": version })
}

fn absent(Absent { contender, program }: &Absent) -> Value {
    json!({ "name": contender, "missing": program })
}

fn trouble(Trouble { contender, case, what }: &Trouble) -> Value {
    json!({ "name": contender, "case": case, "what": what })
}
