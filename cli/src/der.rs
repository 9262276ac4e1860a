//! As much of DER (X.690, section 10) as is needed to look into keys and certificates.

/// The tags of elements that are looked for.
pub const INTEGER: u8 = 0x02;
/// See [`INTEGER`].
pub const OCTET_STRING: u8 = 0x04;
/// See [`INTEGER`].
pub const OID: u8 = 0x06;
/// See [`INTEGER`].
pub const UTF8_STRING: u8 = 0x0c;
/// See [`INTEGER`].
pub const PRINTABLE_STRING: u8 = 0x13;
/// See [`INTEGER`].
pub const SEQUENCE: u8 = 0x30;
/// See [`INTEGER`].
pub const SET: u8 = 0x31;

/// The first element: its tag, its content and what follows. `None` if it is cut short, or longer than 65,535 bytes.
pub fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ ..=0x7f => (usize::from(short), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_split_from_what_follows() {
        let long = [&[OCTET_STRING, 0x82, 0x01, 0x00][..], &[7; 256], b"rest"].concat();
        assert_eq!(element(&[SEQUENCE, 2, 1, 2, 3]), Some((SEQUENCE, &[1, 2][..], &[3][..])));
        assert_eq!(element(&long), Some((OCTET_STRING, &[7; 256][..], &b"rest"[..])));
        for cut in [&[][..], &[SET], &[SET, 2, 1], &[SET, 0x81], &[SET, 0x82, 1], &[SET, 0x80, 0, 0]] {
            assert_eq!(element(cut), None, "{cut:?}");
        }
    }
}
