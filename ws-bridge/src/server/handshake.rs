//! The opening handshake (RFC 6455, section 4.2), strictly.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    },
};
use http_body_util::Full;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::SUBPROTOCOL;

/// A handshake that may go on.
#[derive(Debug)]
pub(super) struct Accepted {
    accept: HeaderValue,
}

/// Why a request does not become a link. The text is the answer's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this port is for agents over WebSocket: GET with `Upgrade: websocket` and HTTP/1.1")]
    NoUpgrade,
    #[error("only WebSocket version 13 is spoken here")]
    Version,
    #[error("the sub-protocol must be indranet.tunnel.v1")]
    Subprotocol,
    #[error("Sec-WebSocket-Key must be 16 bytes in base64")]
    Key,
    #[error("an upgrade request has no body")]
    Body,
    #[error("exactly one Host is needed")]
    Host,
    #[error("pages in a browser may not connect here; the gateway's operator can allow their origin")]
    Origin,
}

/// Checks an upgrade request.
pub(super) fn check<B>(request: &Request<B>, origins: &[String]) -> Result<Accepted, Refusal> {
    let headers = request.headers();
    let upgrades = lists(headers, &CONNECTION, "upgrade") && lists(headers, &UPGRADE, "websocket");
    if request.method() != Method::GET || request.version() != Version::HTTP_11 || !upgrades {
        return Err(Refusal::NoUpgrade);
    }
    if headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
    {
        return Err(Refusal::Body);
    }
    only(headers, &HOST).ok_or(Refusal::Host)?;
    if only(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::Version);
    }
    let foreign = |origin: &HeaderValue| !origins.iter().any(|allowed| origin == allowed.as_str());
    if headers.get_all(ORIGIN).iter().any(foreign) {
        return Err(Refusal::Origin);
    }
    if !lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(Refusal::Subprotocol);
    }
    // 16 bytes in base64 are 24 characters that end in "==".
    let key = only(headers, &SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if key.len() != 24 || !key.ends_with(b"==") {
        return Err(Refusal::Key);
    }
    let accept = HeaderValue::try_from(derive_accept_key(key)).map_err(|_| Refusal::Key)?;
    Ok(Accepted { accept })
}

/// The host that was dialled, in lower case and without port.
pub(super) fn host<B>(request: &Request<B>) -> String {
    let authority = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority: Option<http::uri::Authority> = authority.parse().ok();
    authority
        .map(|authority| authority.host().trim_matches(['[', ']']).to_ascii_lowercase())
        .unwrap_or_default()
}

impl Accepted {
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        response
    }
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::NoUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Subprotocol | Self::Key | Self::Body | Self::Host => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

/// Whether a comma-separated field lists `token`, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    values.map(<[u8]>::trim_ascii).any(|listed| listed.eq_ignore_ascii_case(token.as_bytes()))
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of RFC 6455, section 1.3, for our sub-protocol.
    fn request() -> Request<()> {
        Request::get("/")
            .header("host", "Server.Example.com:8080")
            .header("upgrade", "websocket")
            .header("connection", "keep-alive, Upgrade")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", "chat, indranet.tunnel.v1")
            .header("sec-websocket-version", "13")
            .body(())
            .unwrap()
    }

    fn changed(change: impl FnOnce(&mut Request<()>)) -> Result<(), Refusal> {
        let mut request = request();
        change(&mut request);
        check(&request, &["https://console.example.com".to_owned()]).map(drop)
    }

    fn with(name: &'static str, value: &'static str) -> Result<(), Refusal> {
        changed(|request| {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        })
    }

    #[test]
    fn a_good_handshake_gets_its_key_and_sub_protocol_back() {
        let response = check(&request(), &[]).unwrap().response();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["sec-websocket-protocol"], "indranet.tunnel.v1");
        assert_eq!(host(&request()), "server.example.com");
    }

    #[test]
    fn everything_else_is_told_what_is_missing() {
        assert_eq!(with("upgrade", "h2c"), Err(Refusal::NoUpgrade));
        assert_eq!(with("connection", "close"), Err(Refusal::NoUpgrade));
        assert_eq!(changed(|request| *request.method_mut() = Method::POST), Err(Refusal::NoUpgrade));
        assert_eq!(changed(|request| *request.version_mut() = Version::HTTP_10), Err(Refusal::NoUpgrade));
        assert_eq!(with("sec-websocket-version", "8"), Err(Refusal::Version));
        assert_eq!(with("sec-websocket-protocol", "chat"), Err(Refusal::Subprotocol));
        assert_eq!(with("sec-websocket-key", "short"), Err(Refusal::Key));
        assert_eq!(with("content-length", "5"), Err(Refusal::Body));
        assert_eq!(with("transfer-encoding", "chunked"), Err(Refusal::Body));
        assert_eq!(with("origin", "https://evil.example"), Err(Refusal::Origin));
        assert_eq!(with("origin", "https://console.example.com"), Ok(()));
        let two_hosts = changed(|request| {
            request.headers_mut().append("host", HeaderValue::from_static("other"));
        });
        assert_eq!(two_hosts, Err(Refusal::Host));
    }
}
