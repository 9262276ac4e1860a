use std::time::SystemTime;

use ::cli::{Failure, output};
use gateway::tokens::{TokenEntry, TokenKey, time};
use serde::Serialize;

use super::Tokens;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    tokens: Tokens,
}

/// What people may see of a token.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    id: String,
    name: Option<String>,
    agent_ids: Vec<String>,
    state: &'static str,
    created: Option<String>,
    expires: Option<String>,
    rotated: Option<String>,
    /// Until when the secret before the last rotation is good.
    previous_until: Option<String>,
    revoked: Option<String>,
    max_sessions: Option<u32>,
    max_concurrent: Option<u32>,
    /// Whether the token file holds the secret, or the master key is needed.
    secret: &'static str,
}

impl Row {
    pub(super) fn new(entry: &TokenEntry, now: SystemTime) -> Self {
        Self {
            id: entry.id.to_string(),
            name: entry.name.clone(),
            agent_ids: entry.agent_ids.iter().map(ToString::to_string).collect(),
            state: entry.state(now).word(),
            // The only text that is not checked when the file is read.
            created: entry.created.as_ref().map(|text| text.escape_debug().to_string()),
            expires: entry.expires.map(time::text),
            rotated: entry.rotated.map(time::text),
            previous_until: entry.previous.as_ref().map(|(_, until)| time::text(*until)),
            revoked: entry.revoked.map(time::text),
            max_sessions: entry.max_sessions,
            max_concurrent: entry.max_concurrent,
            secret: match entry.key {
                TokenKey::Stored(_) => "stored",
                TokenKey::Derived(_) => "derived",
            },
        }
    }

    /// Everything, by name. What is not set is a dash.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let number = |limit: Option<u32>| or_dash(limit.map(|limit| limit.to_string()).as_deref());
        vec![
            ("id", self.id.clone()),
            ("name", or_dash(self.name.as_deref())),
            ("agent ids", self.agent_ids.join(",")),
            ("state", self.state.to_owned()),
            ("created", or_dash(self.created.as_deref())),
            ("expires", or_dash(self.expires.as_deref())),
            ("rotated", or_dash(self.rotated.as_deref())),
            ("previous until", or_dash(self.previous_until.as_deref())),
            ("revoked", or_dash(self.revoked.as_deref())),
            ("max sessions", number(self.max_sessions)),
            ("max concurrent", number(self.max_concurrent)),
            ("secret", self.secret.to_owned()),
        ]
    }
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

/// How many of a row's fields stand in the table.
const COLUMNS: usize = 7;

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let file = self.tokens.load()?;
        let now = SystemTime::now();
        let rows: Vec<Row> = file.entries.iter().map(|entry| Row::new(entry, now)).collect();
        let text = if self.json {
            serde_json::to_string_pretty(&rows).map_err(Failure::runtime)? + "\n"
        } else {
            table(&rows)
        };
        output::write(text.as_bytes()).map_err(Failure::runtime)
    }
}

/// Columns as wide as their longest text.
fn table(rows: &[Row]) -> String {
    let fields: Vec<_> = rows.iter().map(Row::fields).collect();
    let Some(first) = fields.first() else { return "no tokens\n".to_owned() };
    let heads = first.iter().take(COLUMNS).map(|(head, _)| head.to_uppercase()).collect();
    let cells = fields.iter().map(|row| row.iter().take(COLUMNS).map(|(_, cell)| cell.clone()).collect());
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(cells).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let padded = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    });
    padded.collect()
}
