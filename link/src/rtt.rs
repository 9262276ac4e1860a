use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};

/// For how long a smallest round trip is believed.
const WINDOW: Duration = Duration::from_secs(60);

/// The smallest round trip of the last minute, measured by PINGs that carry our own clock.
#[derive(Debug)]
pub(crate) struct RoundTrip {
    origin: Instant,
    min: Option<(Duration, Instant)>,
}

impl RoundTrip {
    pub(crate) fn new(origin: Instant) -> Self {
        Self { origin, min: None }
    }

    /// What to put into a PING sent at `now`.
    pub(crate) fn payload(&self, now: Instant) -> Bytes {
        let nanos = u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX);
        Bytes::copy_from_slice(&nanos.to_be_bytes())
    }

    /// A PONG arrived. Returns its round trip if the payload can be one of ours.
    pub(crate) fn on_pong(&mut self, mut payload: &[u8], now: Instant) -> Option<Duration> {
        let sent = self.origin.checked_add(Duration::from_nanos(payload.try_get_u64().ok()?))?;
        let sample = now.checked_duration_since(sent)?;
        let better =
            self.min.is_none_or(|(min, at)| sample <= min || now.saturating_duration_since(at) > WINDOW);
        if better {
            self.min = Some((sample, now));
        }
        Some(sample)
    }

    pub(crate) fn min(&self) -> Option<Duration> {
        self.min.map(|(min, _)| min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_round_trip_of_the_last_minute_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut rtt = RoundTrip::new(start);
        for (sent, received, min) in
            [(10, 30, 20), (100, 105, 5), (200, 260, 5), (50_000, 50_050, 5), (66_000, 66_040, 40)]
        {
            assert!(rtt.on_pong(&rtt.payload(at(sent)), at(received)).is_some());
            assert_eq!(rtt.min(), Some(Duration::from_millis(min)), "after {received} ms");
        }
    }

    #[test]
    fn a_payload_that_is_not_ours_is_no_measurement() {
        let start = Instant::now();
        let mut rtt = RoundTrip::new(start);
        assert_eq!(rtt.on_pong(b"", start), None);
        assert_eq!(rtt.on_pong(&u64::MAX.to_be_bytes(), start), None);
    }
}
