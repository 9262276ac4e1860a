//! How long a caller says that it will wait.

use proto::Fields;

/// The deadline of a gRPC call in milliseconds, rounded up; 0 if there is none. It shortens the gateway's own limit and
/// travels on. (The form is that of <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, `Timeout`.)
pub(super) fn of(fields: &Fields) -> u32 {
    let is_grpc = || fields.get("content-type").is_some_and(|value| value.starts_with(b"application/grpc"));
    fields.get("grpc-timeout").filter(|_| is_grpc()).and_then(|value| milliseconds(value)).unwrap_or(0)
}

fn milliseconds(value: &[u8]) -> Option<u32> {
    let (unit, digits) = value.split_last()?;
    if digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let milliseconds = match unit {
        b'H' => count * 3_600_000,
        b'M' => count * 60_000,
        b'S' => count * 1_000,
        b'm' => count,
        b'u' => count.div_ceil(1_000),
        b'n' => count.div_ceil(1_000_000),
        _ => return None,
    };
    // Zero would be no limit; a caller that gives no time gets its answer soon enough.
    Some(u32::try_from(milliseconds).unwrap_or(u32::MAX).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadline(content_type: &'static str, timeout: &'static str) -> u32 {
        let mut fields = Fields::new();
        fields.push("content-type", content_type);
        fields.push("grpc-timeout", timeout);
        of(&fields)
    }

    #[test]
    fn every_unit_is_known() {
        for (timeout, expected) in [
            ("2H", 7_200_000),
            ("3M", 180_000),
            ("4S", 4_000),
            ("5m", 5),
            ("6001u", 7),
            ("1n", 1),
            ("0m", 1),
            ("99999999H", u32::MAX),
        ] {
            assert_eq!(deadline("application/grpc+proto", timeout), expected, "{timeout}");
        }
    }

    #[test]
    fn what_is_no_deadline_is_none() {
        for timeout in ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", "\u{661}S"] {
            assert_eq!(deadline("application/grpc", timeout), 0, "{timeout}");
        }
        assert_eq!(deadline("text/plain", "1S"), 0);
    }
}
