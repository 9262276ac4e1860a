use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A text from outside in at most `width` characters, without anything that could move a cursor, colour a terminal or
/// turn the direction of writing.
pub(super) fn printable(text: &str, width: usize) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        let mut piece = String::new();
        if is_printable(char) {
            piece.push(char);
        } else {
            let _ = write!(piece, "{}", char.escape_default());
        }
        if shown.chars().count() + piece.chars().count() > width {
            // Room for the mark that something is missing.
            while shown.chars().count() >= width && shown.pop().is_some() {}
            shown.push('\u{2026}');
            break;
        }
        shown.push_str(&piece);
    }
    shown
}

fn is_printable(char: char) -> bool {
    let invisible = matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !char.is_control() && !invisible
}

/// A duration with as many digits as a person reads.
pub(super) fn duration(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    match millis {
        ..9.95 => format!("{millis:.1} ms"),
        ..999.5 => format!("{millis:.0} ms"),
        ..59_950.0 => format!("{:.1} s", millis / 1000.0),
        _ => format!("{:.0} s", millis / 1000.0),
    }
}

/// A number of bytes in powers of a thousand.
pub(super) fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut scaled = bytes as f64 / 1000.0;
    let mut units = ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while let Some(larger) = units.next().filter(|_| scaled >= 999.95) {
        (scaled, unit) = (scaled / 1000.0, larger);
    }
    format!("{scaled:.1} {unit}")
}

/// The time of day in UTC. The standard library knows no time zones, and a library for them would be our largest.
pub(super) fn clock(now: SystemTime) -> String {
    let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() % 86_400;
    format!("{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_spelled_out() {
        for (text, shown) in [
            ("/a\u{1b}[31mb", "/a\\u{1b}[31mb"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}2J", "\\u{9b}2J"),
            ("\u{202e}x\u{200b}", "\\u{202e}x\\u{200b}"),
            ("/b\u{fc}cher/\u{1f980}", "/b\u{fc}cher/\u{1f980}"),
        ] {
            assert_eq!(printable(text, 99), shown);
        }
    }

    #[test]
    fn a_text_is_cut_to_its_width() {
        assert_eq!(printable("abcde", 5), "abcde");
        assert_eq!(printable("abcdef", 5), "abcd\u{2026}");
        assert_eq!(printable("abc\u{1b}", 5), "abc\u{2026}");
        assert_eq!(printable(&"\u{fc}".repeat(99), 9).chars().count(), 9);
        assert_eq!(printable("", 5), "");
    }

    #[test]
    fn durations_read_well() {
        for (micros, text) in [
            (0, "0.0 ms"),
            (400, "0.4 ms"),
            (9_949, "9.9 ms"),
            (9_960, "10 ms"),
            (999_400, "999 ms"),
            (999_600, "1.0 s"),
            (59_900_000, "59.9 s"),
            (59_960_000, "60 s"),
            (3_600_000_000, "3600 s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn sizes_read_well() {
        for (size, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (4_096, "4.1 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (1 << 30, "1.1 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }

    #[test]
    fn the_clock_shows_utc() {
        assert_eq!(clock(UNIX_EPOCH), "00:00:00Z");
        assert_eq!(clock(UNIX_EPOCH + Duration::from_secs(1_700_000_000)), "22:13:20Z");
    }
}
