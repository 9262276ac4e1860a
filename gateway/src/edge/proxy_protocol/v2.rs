use super::{Header, Malformed, source};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const FIXED: usize = 16;
/// What may follow that: addresses, and what a proxy adds about TLS and its cloud.
const MAX_REST: usize = 4096;
/// The value that tells of TLS (section 2.2.5), and the bit that it has if the source speaks it.
const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED>() else { return Ok(None) };
    let &[.., command, family, high, low] = fixed;
    let is_proxied = match command {
        0x20 => false,
        0x21 => true,
        _ => return Err(Malformed("a PROXY header of a version or a command that is none")),
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_REST {
        return Err(Malformed("a PROXY header of more than 4 KiB"));
    }
    let Some(rest) = rest.get(..length) else { return Ok(None) };
    let plain = Header { length: FIXED + length, source: None, tls: false };
    if !is_proxied {
        return Ok(Some(plain)); // a health check of the proxy's own
    }
    const SHORT: Malformed = Malformed("a PROXY header too short for its addresses");
    let (source, values) = match family {
        0x11 => {
            let (addresses, values) = rest.split_first_chunk::<12>().ok_or(SHORT)?;
            let &[a, b, c, d, _, _, _, _, high, low, _, _] = addresses;
            (source([a, b, c, d], u16::from_be_bytes([high, low])), values)
        }
        0x21 => {
            let (addresses, values) = rest.split_first_chunk::<36>().ok_or(SHORT)?;
            let (from, others) = addresses.split_first_chunk::<16>().ok_or(SHORT)?;
            (source(*from, u16::from_be_bytes([others[16], others[17]])), values)
        }
        // Nothing that HTTP came over: the peer speaks for itself (section 2.2).
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Ok(Some(plain)),
        _ => return Err(Malformed("a PROXY header of a family that is none")),
    };
    Ok(Some(Header { source, tls: is_tls(values)?, ..plain }))
}

/// Looks through type-length-value triples.
fn is_tls(mut values: &[u8]) -> Result<bool, Malformed> {
    const BROKEN: Malformed = Malformed("a PROXY header whose values are broken off");
    let mut tls = false;
    while let [kind, high, low, rest @ ..] = values {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, behind) = rest.split_at_checked(length).ok_or(BROKEN)?;
        tls |= *kind == TYPE_SSL && value.first().is_some_and(|client| client & CLIENT_SSL != 0);
        values = behind;
    }
    if values.is_empty() { Ok(tls) } else { Err(BROKEN) }
}
