//! Moments as the token file and its commands write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads `2027-01-31T12:00:00Z` or `2027-01-31`, which is the beginning of that day in UTC.
pub fn parse(text: &str) -> Option<SystemTime> {
    let moment = humantime::parse_rfc3339_weak(text);
    moment.or_else(|_| humantime::parse_rfc3339(&format!("{text}T00:00:00Z"))).ok()
}

/// Reads a moment, or a length of time from `now` on such as `30d`.
pub fn parse_from(text: &str, now: SystemTime) -> Option<SystemTime> {
    parse(text).or_else(|| now.checked_add(humantime::parse_duration(text).ok()?))
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
        assert_eq!(parse_from("2027-01-31", day), Some(day));
        assert_eq!(parse_from("30d", day), Some(day + Duration::from_secs(30 * 86_400)));
        assert_eq!(parse(&text(day)), Some(day));
        for text in ["", "soon", "2027", "2027-13-01", "31.1.2027", "-1d", "30"] {
            assert_eq!(parse_from(text, day), None, "{text}");
        }
    }
}
