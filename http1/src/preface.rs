/// What an HTTP/2 client that knows its server begins with (RFC 9113, section 3.4).
const H2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether a connection begins with the HTTP/2 preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It may: more bytes must decide.
    NeedMore,
}

/// Whether a connection that begins with `bytes` speaks HTTP/2 from the start.
pub fn is_h2_preface(bytes: &[u8]) -> Preface {
    if bytes.starts_with(H2) {
        Preface::Yes
    } else if H2.starts_with(bytes) {
        Preface::NeedMore
    } else {
        Preface::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preface_is_known_by_all_of_it() {
        for cut in 0..H2.len() {
            assert_eq!(is_h2_preface(&H2[..cut]), Preface::NeedMore, "{cut}");
        }
        assert_eq!(is_h2_preface(H2), Preface::Yes);
        assert_eq!(is_h2_preface(&[H2, b"\0\0\0\x04"].concat()), Preface::Yes);
        for other in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/1.1", b"POST", b"PRI * HTTP/2.0\r\n\r\nSMx"] {
            assert_eq!(is_h2_preface(other), Preface::No);
        }
    }
}
