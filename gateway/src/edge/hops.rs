//! Requests that go round in circles. Every gateway counts itself into a field; a tunnel whose service is another gateway, and
//! in the end the first one again, is noticed by its number.

use bytes::Bytes;
use proto::Fields;

/// The field that says through how many gateways a request has come.
pub(crate) const FIELD: &str = "indranet-hops";

/// Through how many gateways a request may go.
const MAX: u8 = 8;

/// The request came through too many gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Loop;

/// Which gateway this is on a request's way, from 1 to [`MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop(u8);

impl Hop {
    /// The value of the field.
    pub(crate) fn text(self) -> Bytes {
        const DIGITS: &[u8; MAX as usize] = b"12345678";
        let index = usize::from(self.0 - 1);
        Bytes::from_static(&DIGITS[index..=index])
    }
}

/// Counts this gateway.
///
/// A value that is no number counts as the last: nobody sends one by accident, and a loop must not be able to hide behind it.
///
/// # Errors
/// [`Loop`] behind the last gateway that may be.
pub(crate) fn next(fields: &Fields) -> Result<Hop, Loop> {
    let mut values = fields.all(FIELD);
    let before = match (values.next(), values.next()) {
        (None, _) => 0,
        (Some(value), None) => number(value).ok_or(Loop)?,
        (Some(_), Some(_)) => return Err(Loop),
    };
    if before < MAX { Ok(Hop(before + 1)) } else { Err(Loop) }
}

fn number(value: &[u8]) -> Option<u8> {
    let digits = value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(values: &[&'static str]) -> Result<Bytes, Loop> {
        let mut fields = Fields::new();
        values.iter().for_each(|value| fields.push(FIELD, *value));
        next(&fields).map(Hop::text)
    }

    #[test]
    fn every_gateway_counts_one_further() {
        assert_eq!(behind(&[]), Ok("1".into()));
        assert_eq!(behind(&["1"]), Ok("2".into()));
        assert_eq!(behind(&["7"]), Ok("8".into()));
    }

    #[test]
    fn the_one_too_many_notices() {
        assert_eq!(behind(&["8"]), Err(Loop));
        assert_eq!(behind(&["255"]), Err(Loop));
    }

    #[test]
    fn what_is_no_number_cannot_hide_a_loop() {
        for values in [&["256"] as &[_], &[""], &["-1"], &["+1"], &["x"], &["1, 2"], &["1", "1"]] {
            assert_eq!(behind(values), Err(Loop), "{values:?}");
        }
    }
}
