//! The messages that operations work on: the small request of the load suites, and what a browser sends.

use bytes::Bytes;
use proto::{Fields, Header, TunnelRequest, TunnelResponse, id_text};
use uuid::Uuid;

/// As a client of few words sends it.
pub(super) const SMALL_REQUEST: &[u8] =
    b"GET /16 HTTP/1.1\r\nhost: bench.localhost\r\nuser-agent: curl/8.5.0\r\naccept: */*\r\n\r\n";

/// As a browser sends it.
pub(super) const BROWSER_REQUEST: &[u8] = b"GET /assets/index-B1x9.js?v=3 HTTP/1.1\r\n\
    Host: myapp.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0\r\n\
    Accept: */*\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Sec-Fetch-Dest: script\r\n\
    Referer: https://myapp.example.com/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=8f14e45fceea167a5a36dedd4bea2543; theme=dark\r\n\r\n";

/// As a small service answers, without its body.
pub(super) const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\
    cache-control: no-store\r\ndate: Mon, 23 Nov 2026 12:00:00 GMT\r\n\r\n";

/// The body of a small message.
pub(super) const BODY: Bytes = Bytes::from_static(b"xxxxxxxxxxxxxxxx");

/// The id of the exchange of this number. They spread as random ones do.
pub(super) fn id(number: u64) -> Uuid {
    let high = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let low = number.wrapping_add(1).wrapping_mul(0xd134_2543_de82_ef95);
    Uuid::from_u64_pair(high, low)
}

/// What the gateway makes of a small request.
pub(super) fn request(id: Uuid) -> TunnelRequest {
    TunnelRequest {
        id: id_text(id),
        method: Bytes::from_static(b"GET"),
        path: Bytes::from_static(b"/16"),
        headers: vec![header("user-agent", "curl/8.5.0"), header("accept", "*/*"), header("x-hops", "1")],
        end_stream: true,
        authority: Bytes::from_static(b"bench.localhost"),
        scheme: "http".to_owned(),
        client_addr: "127.0.0.1:49152".to_owned(),
        timeout_ms: 10_000,
        ..TunnelRequest::default()
    }
}

/// What the agent makes of a small response.
pub(super) fn response(id: Uuid) -> TunnelResponse {
    TunnelResponse {
        id: id_text(id),
        status: 200,
        headers: vec![
            header("content-type", "application/json"),
            header("cache-control", "no-store"),
            header("date", "Mon, 23 Nov 2026 12:00:00 GMT"),
        ],
        body: BODY,
        end_stream: true,
        content_length: Some(BODY.len() as u64),
        ..TunnelResponse::default()
    }
}

/// The fields of [`BROWSER_REQUEST`], as its head is parsed.
pub(super) fn browser_fields() -> Fields {
    let head = http1::RequestParser::new(http1::Limits::default()).parse(&mut BROWSER_REQUEST.into());
    head.expect("the request is valid").expect("the request is whole").fields
}

fn header(name: &'static str, value: &'static str) -> Header {
    Header { name: Bytes::from_static(name.as_bytes()), value: Bytes::from_static(value.as_bytes()) }
}
