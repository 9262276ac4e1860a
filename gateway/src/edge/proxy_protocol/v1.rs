use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Header, Malformed, source};

pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// The longest line with its end.
const MAX: usize = 107;

/// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    let searched = &bytes[..bytes.len().min(MAX)];
    let Some(end) = searched.iter().position(|byte| *byte == b'\n') else {
        let over = bytes.len() >= MAX;
        return if over { Err(Malformed("a PROXY line of more than 107 bytes")) } else { Ok(None) };
    };
    let line = searched[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
    let words: Vec<&str> = line.ok_or(Malformed("a PROXY line that is no text"))?.split(' ').collect();
    let source = match words[..] {
        // What follows says nothing (section 2.1).
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", from, to, from_port, to_port] => {
            let (from, _to) = pair::<Ipv4Addr>(from, to)?;
            let (port, _to) = (port(from_port)?, port(to_port)?);
            source(from, port)
        }
        ["PROXY", "TCP6", from, to, from_port, to_port] => {
            let (from, _to) = pair::<Ipv6Addr>(from, to)?;
            let (port, _to) = (port(from_port)?, port(to_port)?);
            source(from, port)
        }
        _ => return Err(Malformed("a PROXY line that names no connection")),
    };
    Ok(Some(Header { length: end + 1, source, tls: false }))
}

fn pair<A: std::str::FromStr + Into<IpAddr>>(from: &str, to: &str) -> Result<(A, A), Malformed> {
    let address =
        |text: &str| text.parse::<A>().map_err(|_| Malformed("a PROXY line with an address that is none"));
    Ok((address(from)?, address(to)?))
}

fn port(text: &str) -> Result<u16, Malformed> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let port = text.parse().ok().filter(|_| plain);
    port.ok_or(Malformed("a PROXY line with a port that is none"))
}
