use std::time::{Duration, SystemTime};

use super::{Challenge, Retry};
use crate::tls::Validity;

/// How long it may take until a change of the clock, or of a file by somebody else, is seen.
const LONGEST_SLEEP: Duration = Duration::from_secs(60 * 60);

/// When a certificate is to be replaced: when two thirds of its time are over.
pub(super) fn due(validity: Validity) -> SystemTime {
    let life = validity.until.duration_since(validity.from).unwrap_or_default();
    validity.from + life * 2 / 3
}

/// How long to sleep until then.
pub(super) fn until(due: SystemTime, now: SystemTime) -> Duration {
    due.duration_since(now).unwrap_or_default().min(LONGEST_SLEEP)
}

/// The pause behind a number of failures in a row; `draw` is in 0..1. Gateways that fail together do not come again together.
pub(super) fn pause(retry: Retry, failures: u32, draw: f64) -> Duration {
    let doubled = retry.first.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let bound = if failures == 0 { Duration::ZERO } else { doubled.min(retry.longest) };
    retry.least + bound.mul_f64(draw)
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
