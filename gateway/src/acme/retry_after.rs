//! When an authority wants to be asked again (RFC 8555, sections 6.6, 7.4 and 8.2; RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

/// No authority is asked sooner than this, whatever it says.
const LEAST: Duration = Duration::from_secs(1);
/// None is waited for longer than this.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The pause that an answer asks for, within bounds. Its field holds that number of seconds from here on, or is gone if it
/// made no sense: the library adds whatever stands there to the time of day.
pub(super) fn bound(fields: &mut HeaderMap, now: SystemTime) -> Option<Duration> {
    let pause = fields.remove(RETRY_AFTER).and_then(|value| read(&value, now));
    if let Some(pause) = pause {
        fields.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs()));
    }
    pause
}

fn read(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let pause = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More seconds than can be counted are many.
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default()
    };
    let pause = pause.clamp(LEAST, LONGEST);
    // Never a part of a second too early.
    Some(Duration::from_secs(pause.as_secs() + u64::from(pause.subsec_nanos() > 0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        let now = httpdate::parse_http_date("Fri, 27 Nov 2026 10:00:00 GMT").unwrap();
        let mut fields = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
        let pause = bound(&mut fields, now + Duration::from_millis(500));
        let written = fields.get(RETRY_AFTER).map(|value| value.to_str().unwrap().parse().unwrap());
        assert_eq!(pause.map(|pause| pause.as_secs()), written, "the library sees the same");
        written
    }

    #[test]
    fn seconds_and_dates_are_read_within_bounds() {
        let day = 24 * 60 * 60;
        for (text, wanted) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(1)),
            ("86401", Some(day)),
            ("18446744073709551615", Some(day)),
            ("99999999999999999999999", Some(day)),
            ("Fri, 27 Nov 2026 10:01:00 GMT", Some(60)),
            ("Fri, 27 Nov 2026 09:00:00 GMT", Some(1)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(day)),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[ -~]{0,40}") {
            seconds(&text);
        }
    }
}
