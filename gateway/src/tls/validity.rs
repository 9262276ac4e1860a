//! From when until when a certificate is good.

use std::time::SystemTime;

use cli::der::{SEQUENCE, element};
use rustls::pki_types::CertificateDer;

/// What stands before the serial number of a certificate that has a version.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The time in which a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    /// Its first moment.
    pub(crate) from: SystemTime,
    /// Its last one.
    pub(crate) until: SystemTime,
}

impl Validity {
    /// Reads it from a certificate (RFC 5280, section 4.1); `None` if it is not there.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
        let (SEQUENCE, mut signed, _) = element(certificate)? else { return None };
        if let (VERSION, _, rest) = element(signed)? {
            signed = rest;
        }
        let (_serial, _, rest) = element(signed)?;
        let (_algorithm, _, rest) = element(rest)?;
        let (_issuer, _, rest) = element(rest)?;
        let (SEQUENCE, times, _) = element(rest)? else { return None };
        let (kind, from, rest) = element(times)?;
        let from = time(kind, from)?;
        let (kind, until, _) = element(rest)?;
        Some(Self { from, until: time(kind, until)? })
    }
}

/// `YYMMDDhhmmssZ` for the years 1950 to 2049, or `YYYYMMDDhhmmssZ` (RFC 5280, section 4.1.2.5).
fn time(kind: u8, text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = match (kind, text.len()) {
        (UTC_TIME, 12) => format!("{}{text}", if *text < *"50" { "20" } else { "19" }),
        (GENERALIZED_TIME, 14) => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| &digits[from..to];
    let (date, clock) = ([part(0, 4), part(4, 6), part(6, 8)], [part(8, 10), part(10, 12), part(12, 14)]);
    humantime::parse_rfc3339(&format!("{}T{}Z", date.join("-"), clock.join(":"))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn both_ways_to_write_a_time_are_read() {
        let mut params = CertificateParams::new(vec!["one.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 2, 28);
        params.not_after = date_time_ymd(2050, 1, 1);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let validity = Validity::of(certificate.der()).unwrap();
        assert_eq!(validity.from, at("2026-02-28T00:00:00Z"));
        assert_eq!(validity.until, at("2050-01-01T00:00:00Z"));
    }

    #[test]
    fn a_time_is_exact() {
        assert_eq!(time(UTC_TIME, b"700102030405Z"), Some(at("1970-01-02T03:04:05Z")));
        assert_eq!(time(UTC_TIME, b"20700102030405Z"), None);
        assert_eq!(time(GENERALIZED_TIME, b"20700102030405Z"), Some(at("2070-01-02T03:04:05Z")));
        assert_eq!(time(GENERALIZED_TIME, b"20701302030405Z"), None);
        assert_eq!(time(GENERALIZED_TIME, b"20700102030405"), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,16}Z") {
            Validity::of(&CertificateDer::from(bytes));
            time(UTC_TIME, text.as_bytes());
            time(GENERALIZED_TIME, text.as_bytes());
        }
    }
}
