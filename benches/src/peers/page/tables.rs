use super::Page;
use crate::{
    Metric,
    figures::{AGENT_GIB, AGENT_US, BOTH_GIB, BOTH_US, GATEWAY_GIB, GATEWAY_US, MIB, P50, P99, REQUESTS},
    peers::{
        cases::{CASES, Case, Kind},
        contenders::{DIRECT, NGINX, OURS},
        ledger::Summary,
        metrics::{
            AGENT_MIB, BULK_RATIO, IDLE_AGENT_KIB, P99_ALONE, P99_BULK, P99_SLOW, RECOVERY_MS, SERVER_MIB,
            SLOW_RATIO,
        },
        targets::{self, TARGETS},
    },
    stats::rounded,
};

/// A column of figures, or of ratios to somebody's.
struct Column {
    head: &'static str,
    case: Case,
    metric: Metric,
    base: Option<&'static str>,
}

/// What was aimed at, and what came of it.
pub(super) fn targets(page: &Page) -> String {
    let ledger = &page.findings.ledger;
    let mut text = row(["", "bound", OURS[0], "", OURS[1], ""]) + "|---|---|--:|---|--:|---|\n";
    for target in TARGETS {
        let [grpc, ws] = OURS.map(|ours| target.outcome(ledger, ours));
        let verdict = |reached| match reached {
            Some(true) => "reached",
            Some(false) => "**not reached**",
            None => "",
        };
        let cells = [&target.title(), &target.bound(ledger), &grpc.figure, verdict(grpc.reached)];
        text += &row(cells.into_iter().chain([ws.figure.as_str(), verdict(ws.reached)]));
    }
    text
}

/// What both transports shall have alike; halves of a sum, and the p99 of a short load, differ by themselves.
const ALIKE: [Metric; 10] =
    [REQUESTS, P50, BOTH_US, MIB, BOTH_GIB, P99_BULK, P99_SLOW, SERVER_MIB, AGENT_MIB, IDLE_AGENT_KIB];

/// Whether both transports are alike.
pub(super) fn transports(page: &Page) -> String {
    let text = row(["", "figure", "WebSocket / gRPC", ""]) + "|---|---|--:|---|\n";
    let columns = CASES.iter().flat_map(columns).filter(|column| column.base.is_none());
    let rows = columns.filter(|column| ALIKE.contains(&column.metric)).filter_map(|column| {
        let Column { head, case, metric, .. } = column;
        let (ratio, alike) = targets::between_transports(&page.findings.ledger, &case, metric)?;
        let verdict = if alike { "alike" } else { "**not alike**" };
        Some(row([case.name, head, &format!("{ratio:.2}"), verdict]))
    });
    text + &rows.collect::<String>()
}

/// Who they are.
pub(super) fn contenders(page: &Page) -> String {
    let mut text = row(["", "", "version"]) + "|---|---|---|\n";
    for (contender, version) in page.contenders.iter().zip(&page.versions) {
        text += &row([&named(contender.name), contender.what, version.as_deref().unwrap_or("-")]);
    }
    text
}

/// Who they are not, and who failed.
pub(super) fn absences(page: &Page) -> String {
    let absent = page.absent.iter();
    let absent =
        absent.map(|one| format!("- {} is left out: there is no `{}` here.\n", one.contender, one.program));
    let troubles = page.findings.troubles.iter();
    let troubles =
        troubles.map(|one| format!("- {} failed in `{}`: {}\n", one.contender, one.case, one.what));
    let list: String = absent.chain(troubles).collect();
    if list.is_empty() { list } else { format!("\n{list}") }
}

/// A table for each load that was put on, and one for all else.
pub(super) fn all(page: &Page) -> Vec<String> {
    let (lives, loads): (Vec<&Case>, Vec<&Case>) = CASES.iter().partition(|case| case.is_life());
    let loads = loads.into_iter().map(|case| (case.name, columns(case)));
    let lives = lives.into_iter().flat_map(columns).collect();
    let sections = loads.chain([("Memory at rest, and recovery", lives)]);
    sections.filter_map(|(title, columns)| table(page, title, &columns)).collect()
}

/// None if nobody has any of it.
fn table(page: &Page, title: &str, columns: &[Column]) -> Option<String> {
    let ledger = &page.findings.ledger;
    columns.iter().find(|column| ledger.has(&column.case, column.metric))?;
    let heads = columns.iter().map(|column| column.head);
    let mut text = format!("## {title}\n\n");
    text += &row(std::iter::once("").chain(heads));
    text += &format!("|---|{}\n", "--:|".repeat(columns.len()));
    for name in page.names() {
        let cells: Vec<Option<String>> = columns.iter().map(|column| column.cell(page, name)).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.iter().map(|cell| cell.as_deref().unwrap_or(""));
            text += &row(std::iter::once(named(name).as_str()).chain(cells));
        }
    }
    Some(text)
}

impl Column {
    fn cell(&self, page: &Page, contender: &str) -> Option<String> {
        let ledger = &page.findings.ledger;
        match self.base {
            Some(base) => Some(format!("{:.2}", ledger.ratio(&self.case, self.metric, contender, base)?)),
            None => Some(spread(ledger.summary(&self.case, self.metric, contender)?)),
        }
    }
}

fn columns(case: &Case) -> Vec<Column> {
    let column = |head, metric| Column { head, case: *case, metric, base: None };
    let ratios = |metric| {
        [("x direct", DIRECT), ("x nginx", NGINX)].map(|(head, base)| Column {
            head,
            case: *case,
            metric,
            base: Some(base),
        })
    };
    let cpu_ratio = |metric| Column { head: "CPU x nginx", case: *case, metric, base: Some(NGINX) };
    match case.kind {
        Kind::Get { .. } | Kind::Connect { .. } => std::iter::empty()
            .chain([column("requests/s", REQUESTS)])
            .chain(ratios(REQUESTS))
            .chain([column("p50, us", P50), column("p99, us", P99)])
            .chain([column("CPU us per request", BOTH_US), cpu_ratio(BOTH_US)])
            .chain([column("of it server", GATEWAY_US), column("agent", AGENT_US)])
            .collect(),
        Kind::Download { .. } | Kind::Upload { .. } => std::iter::empty()
            .chain([column("MiB/s", MIB)])
            .chain(ratios(MIB))
            .chain([column("CPU s per GiB", BOTH_GIB), cpu_ratio(BOTH_GIB)])
            .chain([column("of it server", GATEWAY_GIB), column("agent", AGENT_GIB)])
            .collect(),
        Kind::Beside { .. } => vec![
            column("p99 with no neighbour, us", P99_ALONE),
            column("beside a download, us", P99_BULK),
            column("/ with none", BULK_RATIO),
            column("beside a slow reader, us", P99_SLOW),
            column("/ with none", SLOW_RATIO),
        ],
        Kind::Memory => vec![column("server, MiB", SERVER_MIB), column("agent, MiB", AGENT_MIB)],
        Kind::Herd => vec![column("server, KiB for each further idle agent", IDLE_AGENT_KIB)],
        Kind::Recovery => {
            vec![column("after its server is killed, ms until a request succeeds", RECOVERY_MS)]
        }
    }
}

fn spread(Summary { median, least, most }: Summary) -> String {
    let half = (most - least) / 2.0 / median * 100.0;
    if half < 0.5 { rounded(median) } else { format!("{} ±{half:.0} %", rounded(median)) }
}

fn named(contender: &str) -> String {
    if OURS.contains(&contender) { format!("**{contender}**") } else { contender.to_owned() }
}

fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    cells.into_iter().fold("|".to_owned(), |row, cell| row + " " + cell + " |") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_shown_where_there_is_one() {
        assert_eq!(spread(Summary { median: 100.0, least: 90.0, most: 120.0 }), "100 ±15 %");
        assert_eq!(spread(Summary { median: 7.0, least: 7.0, most: 7.0 }), "7.00");
    }

    #[test]
    fn cells_stand_between_bars() {
        assert_eq!(row(["a", "", "b"]), "| a |  | b |\n");
    }
}
