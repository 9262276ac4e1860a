use std::time::Duration;

use http::Uri;

/// The parameters of a request.
pub(super) struct Query<'a>(&'a str);

/// A parameter that cannot be read. The value is not repeated: it is anybody's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{name}` must be {expected}")]
pub(super) struct InvalidQuery {
    name: &'static str,
    expected: String,
}

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    pub(super) fn duration(
        &self,
        name: &'static str,
        default: Duration,
        most: Duration,
    ) -> Result<Duration, InvalidQuery> {
        let Some(value) = self.value(name) else { return Ok(default) };
        humantime::parse_duration(value).ok().filter(|duration| *duration <= most).ok_or_else(|| {
            InvalidQuery {
                name,
                expected: format!("a time such as 200ms or 3s, at most {}", humantime::format_duration(most)),
            }
        })
    }

    pub(super) fn size(&self, name: &'static str, default: u64, most: u64) -> Result<u64, InvalidQuery> {
        let Some(value) = self.value(name) else { return Ok(default) };
        size(value).filter(|size| *size <= most).ok_or_else(|| InvalidQuery {
            name,
            expected: format!("a size such as 4096, 64KiB or 10MB, at most {} GiB", most >> 30),
        })
    }

    pub(super) fn count(&self, name: &'static str) -> Result<Option<usize>, InvalidQuery> {
        let value = self.value(name).map(str::parse).transpose();
        value.map_err(|_| InvalidQuery { name, expected: "a number".to_owned() })
    }

    fn value(&self, name: &str) -> Option<&'a str> {
        self.0
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|pair| pair.1)
    }
}

fn size(text: &str) -> Option<u64> {
    let unit_at = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "kib" => 1 << 10,
        "mb" => 1_000_000,
        "mib" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1", Some(1)),
            ("64KiB", Some(65_536)),
            ("10mb", Some(10_000_000)),
            ("2GiB", Some(2 << 30)),
            ("", None),
            ("KiB", None),
            ("-1", None),
            ("1.5MB", None),
            ("1XB", None),
            ("99999999999GiB", None),
            ("18446744073709551616", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let uri: Uri = "/?xcount=1&count=2&count=3".parse().unwrap();
        assert_eq!(Query::of(&uri).count("count"), Ok(Some(2)));
        assert_eq!(Query::of(&uri).count("coun"), Ok(None));
    }

    #[test]
    fn a_time_beyond_the_limit_is_refused() {
        let uri: Uri = "/?for=61s".parse().unwrap();
        let error = Query::of(&uri).duration("for", Duration::ZERO, Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.to_string(), "parameter `for` must be a time such as 200ms or 3s, at most 1m");
    }
}
