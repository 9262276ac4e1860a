use std::time::{Duration, Instant, SystemTime};

use super::{
    palette::Palette,
    text::{bytes, clock, duration, printable},
};
use crate::Event;

/// Columns of a path, and the most that it takes.
const PATH: usize = 24;
const MAX_PATH: usize = 80;
/// Longest other text from outside, in characters.
const MAX_TEXT: usize = 200;

/// Erases the line that the cursor is in.
const ERASE: &str = "\r\x1b[2K";
/// Around a status line: one that wrapped could not be erased, so the terminal cuts what is too long.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// What a terminal shows: a status line, rewritten as long as it is the last line, and a line for each request.
///
/// Everything here is text in and text out; whoever owns a screen writes what it returns to the terminal.
#[derive(Debug)]
pub(super) struct Screen {
    palette: Palette,
    upstream: String,
    state: State,
    /// Whether the cursor stands behind a status line.
    status_is_last: bool,
}

#[derive(Debug)]
enum State {
    Connecting { gateway: String },
    Online { urls: String, transport: &'static str, gateway_id: String, round_trip: Option<Duration> },
    Offline { reason: String, until: Instant },
    Draining { in_flight: usize },
}

/// The moment of an event, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) instant: Instant,
    pub(super) time: SystemTime,
}

impl Moment {
    pub(super) fn now() -> Self {
        Self { instant: Instant::now(), time: SystemTime::now() }
    }
}

impl Screen {
    pub(super) fn new(palette: Palette, upstream: &str) -> Self {
        let upstream = printable(upstream, MAX_TEXT);
        let state = State::Connecting { gateway: String::new() };
        Self { palette, upstream, state, status_is_last: false }
    }

    /// What to write for an event.
    pub(super) fn on(&mut self, event: Event, now: Moment) -> String {
        match event {
            Event::Request { .. } => return self.request(event, now),
            Event::RoundTrip(measured) => {
                if let State::Online { round_trip, .. } = &mut self.state {
                    *round_trip = Some(measured);
                }
                // Not worth a status line of its own further down.
                return if self.status_is_last { self.redraw(now.instant) } else { String::new() };
            }
            Event::Connecting { gateway } => {
                self.state = State::Connecting { gateway: printable(&gateway, MAX_TEXT) };
            }
            Event::Online { public_urls, transport, gateway_id, .. } => {
                let urls = printable(&public_urls.join(", "), MAX_TEXT);
                let gateway_id = printable(&gateway_id, MAX_TEXT);
                self.state = State::Online { urls, transport, gateway_id, round_trip: None };
            }
            Event::Offline { reason, retry_in } => {
                let reason = printable(&reason, MAX_TEXT);
                self.state = State::Offline { reason, until: now.instant + retry_in };
            }
            Event::Draining { in_flight } => self.state = State::Draining { in_flight },
        }
        self.redraw(now.instant)
    }

    /// What to write as time passes.
    pub(super) fn on_tick(&mut self, now: Instant) -> String {
        self.redraw(now)
    }

    /// When time changes what is shown.
    pub(super) fn next_tick(&self, now: Instant) -> Option<Duration> {
        let State::Offline { until, .. } = self.state else { return None };
        let left = until.checked_duration_since(now).filter(|left| !left.is_zero())?;
        // As soon as a whole number of seconds is left, and a bit, so that rounding shows the next one.
        Some(Duration::from_nanos(left.subsec_nanos().into()) + Duration::from_millis(1))
    }

    /// What to write for events that came faster than the terminal takes lines.
    pub(super) fn on_missed(&mut self, events: usize) -> String {
        let text = format!("{events} lines left out: the terminal is too slow");
        format!("{}{}\n", self.below(), self.palette.dim(&text))
    }

    /// Leaves the cursor at the beginning of a line.
    pub(super) fn finish(&mut self) -> String {
        self.below().to_owned()
    }

    fn redraw(&mut self, now: Instant) -> String {
        let erase = if std::mem::replace(&mut self.status_is_last, true) { ERASE } else { "" };
        format!("{erase}{NO_WRAP}{}{WRAP}", self.status(now))
    }

    fn status(&self, now: Instant) -> String {
        let palette = self.palette;
        match &self.state {
            State::Connecting { gateway } => {
                format!("{}  {gateway}", palette.notice("\u{25cb} connecting"))
            }
            State::Online { urls, transport, gateway_id, round_trip } => {
                let round_trip = round_trip.map_or(String::new(), |rtt| format!("{} \u{b7} ", duration(rtt)));
                let link = format!("{transport} \u{b7} {round_trip}node {gateway_id}");
                let upstream = &self.upstream;
                format!(
                    "{}   {urls}  ->  {upstream}     {}",
                    palette.good("\u{25cf} online"),
                    palette.dim(&link)
                )
            }
            State::Offline { reason, until } => {
                let left = until.saturating_duration_since(now).as_millis().div_ceil(1000);
                let retry = if left == 0 { "retrying".to_owned() } else { format!("retrying in {left} s") };
                // The end of a long line is cut: the countdown goes first.
                format!("{}  {retry}: {reason}", palette.bad("\u{25cb} offline"))
            }
            State::Draining { in_flight } => {
                let rest = match in_flight {
                    0 => "done".to_owned(),
                    1 => "1 request in progress".to_owned(),
                    more => format!("{more} requests in progress"),
                };
                format!("{}  {rest}", palette.notice("\u{25d0} draining"))
            }
        }
    }

    fn request(&mut self, event: Event, now: Moment) -> String {
        let line = request_line(self.palette, &event, now.time);
        let State::Draining { in_flight } = &mut self.state else {
            return format!("{}{line}\n", self.below());
        };
        *in_flight = in_flight.saturating_sub(1);
        let erase = if self.status_is_last { ERASE } else { "" };
        self.status_is_last = false;
        format!("{erase}{line}\n{}", self.redraw(now.instant))
    }

    /// Ends a status line that is to stay.
    fn below(&mut self) -> &'static str {
        if std::mem::take(&mut self.status_is_last) { "\n" } else { "" }
    }
}

fn request_line(palette: Palette, event: &Event, time: SystemTime) -> String {
    let Event::Request { method, path, status, duration: took, bytes: size, error, .. } = event else {
        return String::new();
    };
    let (clock, status) = (palette.dim(&clock(time)), palette.status(*status));
    let (method, path) = (printable(method, PATH), printable(path, MAX_PATH));
    let outcome = match error {
        Some(error) => palette.bad(&printable(error, MAX_TEXT)),
        None => format!("{:>8}  {:>9}", duration(*took), bytes(*size)),
    };
    format!("{clock}  {status}  {method:<4} {path:<PATH$}  {outcome}")
}

#[cfg(test)]
mod tests;
