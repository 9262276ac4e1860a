use std::net::Ipv6Addr;

use ::cli::discreet;

/// Longest host name in characters (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// Takes `host`, `host:port`, `[v6]` or `[v6]:port` apart. The host comes back in lower case and without brackets.
pub(super) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let port = match rest {
            "" => None,
            _ => Some(port(rest.strip_prefix(':')?)?),
        };
        return Some((address.to_string(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, digits)) => (host, Some(port(digits)?)),
        None => (text, None),
    };
    is_host(host).then(|| (host.to_ascii_lowercase(), port))
}

/// An address as an error may repeat it: without what may be a user and a password.
pub(super) fn redacted(text: &str) -> String {
    match text.rsplit_once('@') {
        None => text.to_owned(),
        Some((before, rest)) => match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://***@{rest}"),
            None => format!("***@{rest}"),
        },
    }
}

/// Digits only, since Rust's parser would take a sign; never 0.
pub(super) fn port(digits: &str) -> Option<u16> {
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
    (number != 0).then_some(number)
}

/// A token would pass, and be looked up by everybody's name servers.
fn is_host(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=MAX_HOST).contains(&text.len()) && text.bytes().all(allowed) && !discreet::is_token(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_their_case_and_their_brackets() {
        for (text, host, port) in [
            ("Example.COM", "example.com", None),
            ("example.com:80", "example.com", Some(80)),
            ("127.0.0.1:3000", "127.0.0.1", Some(3000)),
            ("[::1]", "::1", None),
            ("[2001:DB8::1]:65535", "2001:db8::1", Some(65535)),
        ] {
            assert_eq!(host_and_port(text), Some((host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn a_user_and_a_password_are_not_repeated() {
        for (text, shown) in [
            ("http://web:80", "http://web:80"),
            ("grpc://user:PW@gw", "grpc://***@gw"),
            ("grpc://user:P@W/x@gw:1", "grpc://***@gw:1"),
            ("user:PW@gw", "***@gw"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn anything_else_is_no_host() {
        for text in [
            "",
            ":80",
            "a:",
            "a:0",
            "a:+80",
            "a:65536",
            "::1",
            "[::1",
            "[::1]80",
            "[a]",
            "a b",
            "u@h",
            "a/b",
            "ü",
            "itk_k3v9_q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng",
        ] {
            assert_eq!(host_and_port(text), None, "{text}");
        }
    }
}
