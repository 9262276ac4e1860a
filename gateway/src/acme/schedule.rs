use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use super::{Challenge, Retry};
use crate::tls::Validity;

/// How long it may take until a change of the clock, or of a file by somebody else, is seen.
const LONGEST_SLEEP: Duration = Duration::from_secs(60 * 60);

/// Certificates that live for less than this are renewed at half time, so that enough days are left for what fails.
const SHORT_LIFE: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// When a certificate is to be replaced where the authority does not say: when two thirds of its time are over, or half of a
/// short one.
pub(super) fn due(validity: Validity) -> SystemTime {
    let life = life(validity);
    validity.from + if life < SHORT_LIFE { life / 2 } else { life * 2 / 3 }
}

/// The moment that `draw` in 0..1 chooses in a window that the authority suggests (RFC 9773, section 4.2). It leaves a new
/// certificate in peace for a hundredth of its time, so that no suggestion makes this gateway order for ever, and a tenth for
/// what fails.
pub(super) fn suggested(validity: Validity, window: Range<SystemTime>, draw: f64) -> SystemTime {
    let length = window.end.duration_since(window.start).unwrap_or_default();
    let life = life(validity);
    let chosen = window.start + length.mul_f64(draw);
    chosen.clamp(validity.from + life / 100, validity.from + life * 9 / 10)
}

fn life(validity: Validity) -> Duration {
    validity.until.duration_since(validity.from).unwrap_or_default()
}

/// A number in 0..=1 that nobody foresees.
pub(super) fn draw() -> f64 {
    f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX)
}

/// How long to sleep until then.
pub(super) fn until(due: SystemTime, now: SystemTime) -> Duration {
    due.duration_since(now).unwrap_or_default().min(LONGEST_SLEEP)
}

/// The pause behind a number of failures in a row; `draw` is in 0..1. Gateways that fail together do not come again together.
/// No bound is longer than a quarter of what is `left` of the certificate.
pub(super) fn pause(retry: Retry, failures: u32, left: Option<Duration>, draw: f64) -> Duration {
    let doubled = retry.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let longest = left.map_or(retry.longest, |left| retry.longest.min(left / 4));
    let bound = if failures == 0 { Duration::ZERO } else { doubled.min(longest) };
    retry.least + bound.mul_f64(draw)
}

/// The pause where the authority asked for one: never less, and up to a tenth more.
pub(super) fn told(pause: Duration, draw: f64) -> Duration {
    pause + (pause / 10).mul_f64(draw)
}

/// The pause before another look at an order whose authority asked for none.
pub(super) fn look(looks: u32, draw: f64) -> Duration {
    let doubled = Duration::from_millis(250 << looks.min(5));
    doubled.mul_f64(0.5 + draw / 2.0)
}

/// The ways to try in one attempt, the best first. Port 443 is the more likely one to lead here, since its name is to be served.
/// All are tried at first; after that one at a time, since an authority counts failures.
pub(super) fn ways(chosen: Option<Challenge>, failures: u32) -> Vec<Challenge> {
    match (chosen, failures) {
        (Some(chosen), _) => vec![chosen],
        (None, 0) => vec![Challenge::TlsAlpn01, Challenge::Http01],
        (None, odd) if odd % 2 == 1 => vec![Challenge::TlsAlpn01],
        (None, _) => vec![Challenge::Http01],
    }
}

#[cfg(test)]
mod tests;
