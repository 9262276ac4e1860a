//! Moments as the token file and its commands write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The beginning of the year 10000, which has no written form any more, in seconds since the Unix epoch.
const END: Duration = Duration::from_secs(253_402_300_800);

/// Reads `2027-01-31T12:00:00Z` or `2027-01-31`, which is the beginning of that day in UTC.
pub fn parse(text: &str) -> Option<SystemTime> {
    let moment = humantime::parse_rfc3339_weak(text);
    moment.or_else(|_| humantime::parse_rfc3339(&format!("{text}T00:00:00Z"))).ok()
}

/// Why a text is no moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMoment {
    /// It is written in another way.
    #[error("write 2027-01-31, 2027-01-31T12:00:00Z or 90d")]
    Syntax,
    /// It is so late that it cannot be written.
    #[error("that is after the year 9999; leave it out for a token without end")]
    TooLate,
}

/// Reads a moment, or a length of time from `now` on such as `30d`.
///
/// # Errors
/// [`InvalidMoment`].
pub fn parse_from(text: &str, now: SystemTime) -> Result<SystemTime, InvalidMoment> {
    if let Some(moment) = parse(text) {
        return Ok(moment);
    }
    let length = humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => InvalidMoment::TooLate,
        _ => InvalidMoment::Syntax,
    })?;
    now.checked_add(length).filter(|moment| *moment < UNIX_EPOCH + END).ok_or(InvalidMoment::TooLate)
}

/// The form that [`parse`] reads.
pub fn text(moment: SystemTime) -> String {
    humantime::format_rfc3339_seconds(moment).to_string()
}

/// Milliseconds since the Unix epoch.
pub(crate) fn millis(moment: SystemTime) -> i64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_a_time_or_so_long_from_now() {
        let day = UNIX_EPOCH + Duration::from_secs(1_801_353_600);
        assert_eq!(parse("2027-01-31"), Some(day));
        assert_eq!(parse("2027-01-31T00:00:00Z"), Some(day));
        assert_eq!(parse_from("2027-01-31", day), Ok(day));
        assert_eq!(parse_from("30d", day), Ok(day + Duration::from_secs(30 * 86_400)));
        assert_eq!(parse(&text(day)), Some(day));
        for text in ["", "soon", "2027", "2027-13-01", "31.1.2027", "-1d", "30"] {
            assert_eq!(parse_from(text, day), Err(InvalidMoment::Syntax), "{text}");
        }
    }

    #[test]
    fn what_is_read_can_be_written() {
        let day = UNIX_EPOCH + Duration::from_secs(1_801_353_600);
        for text in ["99999999999d", "9999999999999999999999999d", "7973y"] {
            assert_eq!(parse_from(text, day), Err(InvalidMoment::TooLate), "{text}");
        }
        for latest in ["7970y", "9999-12-31T23:59:59Z"] {
            let moment = parse_from(latest, day).unwrap();
            assert_eq!(parse(&text(moment)), Some(moment));
        }
        assert!(text(UNIX_EPOCH + END - Duration::from_secs(1)).starts_with("9999-12-31T23:59:59"));
    }
}
