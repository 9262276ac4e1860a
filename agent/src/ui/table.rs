use std::{fmt::Write as _, time::Duration};

use super::text::{duration, printable};
use crate::status::{LinkStatus, Status};

/// Longest text from outside in a column, in characters.
const WIDTH: usize = 60;
/// Longest error, which stands last.
const MAX_ERROR: usize = 200;

const COLUMNS: [&str; 11] = [
    "LINK",
    "STATE",
    "TRANSPORT",
    "GATEWAY",
    "NODE",
    "AGE",
    "ROUND TRIP",
    "NOW",
    "SERVED",
    "RECONNECTS",
    "LAST ERROR",
];

/// Agents as people read them: for each who it is and what it serves, then a line for every link.
pub fn table(agents: &[Status]) -> String {
    agents.iter().map(agent).collect::<Vec<_>>().join("\n")
}

fn agent(status: &Status) -> String {
    let urls = match status.public_urls.as_slice() {
        [] => "-".to_owned(),
        urls => printable(&urls.join(", "), MAX_ERROR),
    };
    let health = match &status.health {
        health if !health.checked => "not checked".to_owned(),
        health if health.serving => "healthy".to_owned(),
        health => format!("unhealthy: {}", printable(&health.message, MAX_ERROR)),
    };
    let mut text = String::new();
    let (id, target) = (printable(&status.id, WIDTH), printable(&status.target, WIDTH));
    let _ = writeln!(text, "{id}  pid {}  {urls}  ->  {target}  service {health}", status.pid);
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(status.links.iter().map(row));
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    text
}

fn row(link: &LinkStatus) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), |text| printable(text, WIDTH));
    let error = match (&link.last_error, link.retry_in_s) {
        (None, _) => String::new(),
        (Some(error), None) => printable(error, MAX_ERROR),
        (Some(error), Some(left)) => format!("{}; next attempt in {left:.0} s", printable(error, MAX_ERROR)),
    };
    [
        link.number.to_string(),
        printable(&link.state, WIDTH),
        text(&link.transport),
        text(&link.gateway),
        text(&link.gateway_id),
        link.age_s.map_or("-".to_owned(), age),
        link.round_trip_ms.map_or("-".to_owned(), |ms| duration(positive(ms / 1000.0))),
        link.in_progress.to_string(),
        link.served.to_string(),
        link.reconnects.to_string(),
        error,
    ]
}

/// With the two units that matter.
fn age(seconds: f64) -> String {
    let seconds = positive(seconds).as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, _, _) => format!("{days}d {hours}h"),
    }
}

/// What another process says need not be a time.
fn positive(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        for (seconds, text) in [
            (0.4, "0s"),
            (59.0, "59s"),
            (61.0, "1m 1s"),
            (3725.0, "1h 2m"),
            (90_000.0, "1d 1h"),
            (-1.0, "0s"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }

    #[test]
    fn every_link_has_a_line_and_nothing_from_outside_moves_the_cursor() {
        let status: Status = serde_json::from_value(serde_json::json!({
            "id": "myapp", "pid": 7, "version": "1", "uptime_s": 1.0, "public_urls": ["http://myapp.test"],
            "target": "http://127.0.0.1:3000", "health": { "checked": true, "serving": false, "message": "503" },
            "links": [
                { "number": 0, "state": "connected", "transport": "grpc", "gateway": "grpc://gw:1",
                  "gateway_id": "gw\u{1b}[31m", "age_s": 61.0, "round_trip_ms": 0.4, "in_progress": 0, "served": 12,
                  "reconnects": 0, "last_error": null, "retry_in_s": null },
                { "number": 1, "state": "disconnected", "transport": null, "gateway": null, "gateway_id": null,
                  "age_s": null, "round_trip_ms": null, "in_progress": 0, "served": 0, "reconnects": 3,
                  "last_error": "cut", "retry_in_s": 4.2 },
            ],
        }))
        .unwrap();
        let shown = table(&[status]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[0],
            "myapp  pid 7  http://myapp.test  ->  http://127.0.0.1:3000  service unhealthy: 503"
        );
        assert!(lines[2].contains("gw\\u{1b}[31m  1m 1s  0.4 ms"), "{}", lines[2]);
        assert!(lines[3].ends_with("3           cut; next attempt in 4 s"), "{}", lines[3]);
    }
}
