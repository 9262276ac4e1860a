use std::fmt;

use crate::{Metric, Results, stats::rounded};

/// Columns under groups, for a terminal. The first column is on the left, the others are numbers.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

/// The head of a column.
#[derive(Clone, Debug)]
pub struct Column {
    /// What it shares with its neighbours; printed once, above them all.
    pub group: String,
    /// Its own name.
    pub name: String,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// A row for each case that has all the `metrics`, and for each metric its medians and the ratios between them.
    pub fn of(results: &Results, metrics: &[Metric]) -> Self {
        let mut table = Self::new(columns(results.contenders(), metrics));
        for case in results.cases() {
            let series: Option<Vec<_>> = metrics.iter().map(|metric| case.series(*metric)).collect();
            let Some(series) = series else { continue };
            let mut row = vec![case.name.to_owned()];
            for series in series {
                row.extend(
                    (0..results.contenders().len()).map(|contender| rounded(series.median(contender))),
                );
                row.extend(
                    (1..results.contenders().len())
                        .map(|contender| format!("{:.2}", series.ratio(contender))),
                );
            }
            table.push(row);
        }
        table
    }

    /// Adds a row, with a cell for each column.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let widest = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().map(|row| row[index].chars().count());
            cells.max().unwrap_or(0).max(column.name.chars().count())
        };
        self.columns.iter().enumerate().map(widest).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = self.widths();
        let groups: Vec<&[Column]> = self.columns.chunk_by(|one, next| one.group == next.group).collect();
        let mut heads = String::new();
        let mut first = 0;
        for group in groups {
            let last = first + group.len() - 1;
            // Two spaces between columns, two more between groups; a group's name needs room as well.
            let width: usize = widths[first..=last].iter().sum::<usize>() + 2 * (group.len() - 1);
            let missing = group[0].group.chars().count().saturating_sub(width);
            widths[first] += missing + if first > 0 { 2 } else { 0 };
            let gap = if first > 0 { 4 } else { 0 };
            heads += &format!("{:gap$}{:^width$}", "", group[0].group, width = width + missing);
            first = last + 1;
        }
        writeln!(f, "{}", heads.trim_end())?;
        let names: Vec<String> = self.columns.iter().map(|column| column.name.clone()).collect();
        std::iter::once(&names).chain(&self.rows).try_for_each(|row| write_row(f, row, &widths))
    }
}

fn write_row(f: &mut fmt::Formatter<'_>, row: &[String], widths: &[usize]) -> fmt::Result {
    for (index, (cell, &width)) in row.iter().zip(widths).enumerate() {
        match index {
            0 => write!(f, "{cell:<width$}")?,
            _ => write!(f, "  {cell:>width$}")?,
        }
    }
    writeln!(f)
}

fn columns(contenders: &[&str], metrics: &[Metric]) -> Vec<Column> {
    let column = |group: &str, name: String| Column { group: group.to_owned(), name };
    let mut columns = vec![column("", "case".to_owned())];
    for metric in metrics {
        columns.extend(contenders.iter().map(|name| column(metric.title, (*name).to_owned())));
        let others = contenders.iter().skip(1);
        columns.extend(others.map(|name| column(metric.title, format!("{name}/{}", contenders[0]))));
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Metric = Metric { key: "rate", title: "requests per second" };
    const CPU: Metric = Metric { key: "cpu", title: "CPU" };

    #[test]
    fn groups_stand_above_their_columns() {
        let mut results = Results::new(&["a", "b"]);
        results.add("GET", 0, &[(RATE, 1000.0), (CPU, 1.0)]);
        results.add("GET", 1, &[(RATE, 2000.0), (CPU, 3.0)]);
        results.add("other", 0, &[(CPU, 3.0)]);
        let expected = "        requests per second          CPU
case          a     b   b/a       a     b   b/a
GET        1000  2000  2.00    1.00  3.00  3.00
";
        assert_eq!(Table::of(&results, &[RATE, CPU]).to_string(), expected);
        assert!(Table::of(&Results::new(&["a", "b"]), &[RATE]).is_empty());
    }
}
