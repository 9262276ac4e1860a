use super::{
    cases::{BESIDE, CONNECT, Case, DOWN_1, DOWN_8, GET_1, GET_64, MEDIUM_16, UP_1, UP_4},
    contenders::OURS,
    metrics::{P99_BULK, P99_SLOW},
    page::Page,
};
use crate::{
    Bar, Metric, Plot, Row, Section,
    figures::{AGENT_GIB, AGENT_US, BOTH_GIB, BOTH_US, GATEWAY_GIB, GATEWAY_US, MIB, P50, REQUESTS},
};

/// What one column of bars shows: the number, and the parts of its bars.
type Shown = (&'static str, Metric, &'static [Metric]);

const CPU_US: Shown = ("CPU us per request: server + agent (faded)", BOTH_US, &[GATEWAY_US, AGENT_US]);
const CPU_GIB: Shown = ("CPU s per GiB: server + agent (faded)", BOTH_GIB, &[GATEWAY_GIB, AGENT_GIB]);

/// Every plot that there are figures for, with the name of its file.
pub(super) fn of(page: &Page) -> Vec<(&'static str, Plot)> {
    let requests = ("requests/s", REQUESTS, &[REQUESTS] as &[Metric]);
    let mib = ("MiB/s", MIB, &[MIB] as &[Metric]);
    let p50 = ("p50, us", P50, &[P50] as &[Metric]);
    let plots = [
        (
            "requests",
            "Requests",
            vec![
                (GET_64, requests, CPU_US),
                (GET_1, p50, CPU_US),
                (CONNECT, requests, CPU_US),
                (MEDIUM_16, requests, CPU_US),
            ],
        ),
        (
            "bulk",
            "Downloads and uploads",
            [DOWN_1, DOWN_8, UP_1, UP_4].map(|case| (case, mib, CPU_GIB)).into(),
        ),
        (
            "neighbours",
            "Small requests beside others",
            vec![(
                BESIDE,
                ("p99 us, download", P99_BULK, &[P99_BULK]),
                ("p99 us, slow reader", P99_SLOW, &[P99_SLOW]),
            )],
        ),
    ];
    let plots = plots.into_iter().map(|(name, title, sections)| {
        let sections: Vec<Section> =
            sections.into_iter().map(|(case, left, right)| section(page, case, [left, right])).collect();
        let plot = Plot {
            title: title.to_owned(),
            subtitle: format!("Medians of {} rounds; ours in the second colour", page.plan.rounds),
            contenders: Vec::new(),
            sections,
        };
        (name, plot)
    });
    plots.filter(|(_, plot)| plot.sections.iter().any(|section| !section.rows.is_empty())).collect()
}

/// A row for each contender that has any of it.
fn section(page: &Page, case: Case, columns: [Shown; 2]) -> Section {
    let ledger = &page.findings.ledger;
    let bars = |name: &str, (_, metric, parts): &Shown| {
        let median = |metric| ledger.summary(&case, metric, name).map(|summary| summary.median);
        let parts = parts.iter().filter_map(|part| median(*part)).collect();
        Vec::from_iter(median(*metric).map(|value| Bar { parts, value }))
    };
    let row = |name: &'static str| {
        let cells: Vec<Vec<Bar>> = columns.iter().map(|column| bars(name, column)).collect();
        let colour = usize::from(OURS.contains(&name));
        cells.iter().any(|cell| !cell.is_empty()).then(|| Row { label: name.to_owned(), cells, colour })
    };
    Section {
        rows: page.names().filter_map(row).collect(),
        columns: vec![format!("{}: {}", case.name, columns[0].0), columns[1].0.to_owned()],
    }
}
