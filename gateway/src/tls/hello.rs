use rustls::server::Acceptor;

/// The most that a client may say before its name is known. Greetings are a few KiB at most, also with keys that are
/// safe from quantum computers.
const MAX_HELLO: usize = 32 * 1024;

/// What the first bytes of a connection say, as far as they have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hello {
    /// More must come.
    NeedMore,
    /// The name that is asked for, in lower case, if one is.
    Name(Option<String>),
    /// No greeting of TLS.
    Malformed,
    /// More than is waited for. Whom it asks for is not known, so that nobody may answer it.
    TooLong,
}

/// Looks at a client's greeting without answering it.
pub(crate) fn hello(read: &[u8]) -> Hello {
    let mut acceptor = Acceptor::default();
    let mut rest = read;
    while !rest.is_empty() {
        if acceptor.read_tls(&mut rest).is_err() {
            return Hello::Malformed;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                return Hello::Name(accepted.client_hello().server_name().map(str::to_ascii_lowercase));
            }
            Ok(None) => {}
            Err(_) => return Hello::Malformed,
        }
    }
    if read.len() > MAX_HELLO { Hello::TooLong } else { Hello::NeedMore }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    fn greeting(name: &'static str) -> Vec<u8> {
        let builder = ClientConfig::builder_with_provider(cli::provider());
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        let mut client = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_name_is_known_once_all_of_the_greeting_is_there() {
        let bytes = greeting("Shop.example.org");
        for cut in 0..bytes.len() {
            assert_eq!(hello(&bytes[..cut]), Hello::NeedMore, "{cut}");
        }
        assert_eq!(hello(&bytes), Hello::Name(Some("shop.example.org".to_owned())));
        assert_eq!(hello(&greeting("127.0.0.1")), Hello::Name(None));
    }

    #[test]
    fn what_is_no_greeting_is_malformed() {
        assert_eq!(hello(b"\x16\x03\x01\x00\x05hello"), Hello::Malformed);
        assert_eq!(hello(b"GET / HTTP/1.1\r\n\r\n"), Hello::Malformed);
    }

    #[test]
    fn a_greeting_that_is_too_long_is_no_malformed_one() {
        // 60,000 bytes of a ClientHello in records as long as they may be.
        let mut bytes = b"\x16\x03\x01\x40\x00\x01\x00\xea\x60".to_vec();
        bytes.resize(5 + 0x4000, 0);
        bytes.extend_from_slice(b"\x16\x03\x01\x40\x00");
        bytes.resize(MAX_HELLO, 0);
        assert_eq!(hello(&bytes), Hello::NeedMore);
        bytes.push(0);
        assert_eq!(hello(&bytes), Hello::TooLong);
    }
}
